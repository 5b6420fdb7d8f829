import dns from 'node:dns';
import { PortcullisError } from '../kernel/errors.js';
import type { Dns, DnsAnswerClass, TxtAnswer } from './dns.js';
import { chainFrom, endOf, readAlong } from './dns-chain.js';
import { ask } from './dns-exchange.js';
import type { Failed, Said } from './dns-message.js';
import { isAskable } from './dns-name.js';
import { formatServerAddress, parseServerAddress, type ServerAddress } from './server-address.js';
import { Slots } from './slots.js';

export interface DnsOptions {
  /**
   * Who is asked. `system` is one perspective: the machine's own resolvers, one after the other. Addresses
   * (`127.0.0.1:5353`, `[::1]:53`; port 53 if none) are a perspective each.
   */
  readonly resolvers: 'system' | readonly string[];
  /** For one try: the question over UDP and, if need be, over TCP. */
  readonly timeoutMs: number;
  /** Tries for one question. A lookup, aliases included, lasts at most `tries × timeoutMs`. */
  readonly tries: number;
  /** Questions in flight, all perspectives and callers together. */
  readonly maxConcurrent: number;
  /** Called once for each perspective's answer. */
  readonly onAnswer?: (answerClass: DnsAnswerClass) => void;
}

interface Perspective {
  readonly name: string;
  /** Read at each question: `dns.setServers` may change the machine's own at any time. */
  servers(): readonly ServerAddress[];
}

/** The DNS client. Throws CONFIG_INVALID, naming every resolver that is not an address or is named twice. */
export function createDns(options: DnsOptions): Dns {
  const perspectives = options.resolvers === 'system' ? [system] : addressed(options.resolvers);
  const slots = new Slots(options.maxConcurrent);
  return {
    txt: (name, signal) =>
      Promise.all(
        perspectives.map(async (perspective) => {
          const answer = await slots.use(() => lookUp(perspective, name, options, signal), signal);
          options.onAnswer?.(classOf(answer));
          return { perspective: perspective.name, answer };
        }),
      ),
  };
}

function classOf(answer: TxtAnswer): DnsAnswerClass {
  return answer.kind === 'records' ? 'records' : answer.code;
}

const system: Perspective = {
  name: 'system',
  servers: () =>
    dns
      .getServers()
      .map(parseServerAddress)
      .filter((server) => server !== undefined),
};

function addressed(resolvers: readonly string[]): readonly Perspective[] {
  const faults: string[] = [];
  const perspectives = new Map<string, Perspective>();
  for (const text of resolvers) {
    const server = parseServerAddress(text);
    if (server === undefined) {
      faults.push(`"${text}" is not an address`);
      continue;
    }
    const name = formatServerAddress(server);
    if (perspectives.has(name)) faults.push(`"${text}" is named twice, and would count as two perspectives`);
    perspectives.set(name, { name, servers: () => [server] });
  }
  if (resolvers.length === 0) faults.push('there is none');
  if (faults.length > 0) {
    throw new PortcullisError('CONFIG_INVALID', `DNS resolvers: ${faults.join('; ')}`, {
      hint: 'Give "system", or addresses such as 127.0.0.1:5353 or [::1]:53, each once.',
      details: { resolvers },
    });
  }
  return [...perspectives.values()];
}

async function lookUp(
  perspective: Perspective,
  name: string,
  options: DnsOptions,
  signal: AbortSignal | undefined,
): Promise<TxtAnswer> {
  if (!isAskable(name)) return { kind: 'indeterminate', code: 'NAME_INVALID' };
  const deadlineMs = performance.now() + options.tries * options.timeoutMs;
  let chain = chainFrom(name);
  for (;;) {
    const end = endOf(chain);
    if (!isAskable(end)) return { kind: 'indeterminate', code: 'MALFORMED' };
    const reply = await askRepeatedly(perspective.servers(), end, options, deadlineMs, signal);
    if (reply.kind === 'failed') return { kind: 'indeterminate', code: reply.code };
    const next = readAlong(chain, reply);
    if (next.kind !== 'chain') return next;
    chain = next;
  }
}

/**
 * Asks the servers in turn until one says something or the tries are used up; then the last failure stands. A server
 * that said nothing is asked again without EDNS: some forwarders drop what they do not understand.
 */
async function askRepeatedly(
  servers: readonly ServerAddress[],
  name: string,
  options: DnsOptions,
  deadlineMs: number,
  signal: AbortSignal | undefined,
): Promise<Said | Failed> {
  let last: Failed = { kind: 'failed', code: servers.length === 0 ? 'UNREACHABLE' : 'TIMEOUT' };
  const silent = new Set<ServerAddress>();
  for (let made = 0; made < options.tries; made += 1) {
    const server = servers[made % servers.length];
    const timeoutMs = Math.min(options.timeoutMs, deadlineMs - performance.now());
    if (server === undefined || timeoutMs <= 0) return last;
    const reply = await ask(server, name, !silent.has(server), { timeoutMs, signal });
    if (reply.kind === 'said') return reply;
    if (reply.code === 'TIMEOUT') silent.add(server);
    last = reply;
  }
  return last;
}
