import { Counter, Gauge, type Registry } from 'prom-client';

/** What a process asks others: flag sources and DNS resolvers. */
export interface SourceMetrics {
  /** Seconds since a flag source was last heard from; infinite if it never was. */
  flagAge(seconds: number, source: string): void;
  /** `problem` is a short fixed word: `unreachable`, `unauthorised`, `malformed`. */
  flagSourceProblem(source: string, problem: string): void;
  /** One resolver's answer to one question, by class (`records`, `NXDOMAIN`, `SERVFAIL`, …). */
  dnsAnswer(answerClass: string): void;
}

export function measureSources(registry: Registry): SourceMetrics {
  const registers = [registry];
  const flagAge = new Gauge({
    name: 'portcullis_flag_age_seconds',
    help: 'Time since the flag source was last heard from.',
    labelNames: ['source'],
    registers,
  });
  const flagProblems = new Counter({
    name: 'portcullis_flag_source_problems_total',
    help: 'Times that the flag source could not be read.',
    labelNames: ['source', 'problem'],
    registers,
  });
  const dnsAnswers = new Counter({
    name: 'portcullis_dns_answers_total',
    help: 'Answers of DNS resolvers, by class.',
    labelNames: ['class'],
    registers,
  });
  return {
    flagAge(seconds, source) {
      flagAge.set({ source }, seconds);
    },
    flagSourceProblem(source, problem) {
      flagProblems.inc({ source, problem });
    },
    dnsAnswer(answerClass) {
      dnsAnswers.inc({ class: answerClass });
    },
  };
}
