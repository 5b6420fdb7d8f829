import { spawn, execFile } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import packet from 'dns-packet';
import { requireProgram } from './debian-package.js';

/** Zones by apex (`example.test`), each the records of a zone file; SOA and NS are added. */
export type Zones = Readonly<Record<string, string>>;

export interface NameServer {
  readonly address: string;
  readonly port: number;
  /** Puts other records in place of all of them; the apexes stay. In force when it returns. */
  reload(zones: Zones): Promise<void>;
  /** Ends the server and removes its files. May be called again. */
  close(): Promise<void>;
}

const HOST = '127.0.0.1';
const READY_WITHIN_MS = 60_000;
const run = promisify(execFile);

/**
 * Runs the server as a child of a shell that ends it as soon as our end of the pipe closes: when we close,
 * and also when we are killed.
 */
const WATCHED =
  '"$@" & server=$!; trap \'kill -9 "$server" 2>/dev/null\' EXIT; trap exit INT TERM HUP; cat >/dev/null';

/**
 * Starts a real authoritative name server (Knot DNS) on a free loopback port, UDP and TCP. Where it is not
 * installed it is, or an error says how. `negativeTtlSeconds` goes into the SOA.
 */
export async function startNameServer(zones: Zones, negativeTtlSeconds = 60): Promise<NameServer> {
  const knotd = await requireProgram('knotd', 'knot');
  const knotc = await requireProgram('knotc', 'knot');
  // A control socket's path may have no more than 107 octets.
  const folder = await mkdtemp(join(tmpdir(), 'knot-'));
  const apexes = Object.keys(zones);
  const port = await freePort();
  const config = join(folder, 'knot.conf');
  let serial = 1;

  const writeZones = (content: Zones): Promise<unknown> =>
    Promise.all(
      apexes.map((apex) =>
        writeFile(
          join(folder, `${apex}.zone`),
          zoneFile(apex, serial, negativeTtlSeconds, content[apex] ?? ''),
        ),
      ),
    );
  await writeFile(config, configuration(folder, port, apexes));
  await writeZones(zones);

  const child = spawn('sh', ['-c', WATCHED, 'sh', knotd, '-c', config], {
    stdio: ['pipe', 'ignore', 'pipe'],
  });
  let complaints = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (complaints += text));

  let closed: Promise<void> | undefined;
  const end = async (): Promise<void> => {
    const gone = once(child, 'close');
    child.stdin.end();
    await gone;
    await rm(folder, { recursive: true, force: true });
  };
  const close = (): Promise<void> => (closed ??= end());

  try {
    await Promise.all(apexes.map((apex) => untilServed(port, apex, serial)));
  } catch (error) {
    await close();
    throw new Error(`knotd did not serve its zones:\n${complaints}`, { cause: error });
  }
  return {
    address: HOST,
    port,
    async reload(next) {
      serial += 1;
      await writeZones(next);
      await run(knotc, ['-b', '-c', config, 'zone-reload', ...apexes]);
      await Promise.all(apexes.map((apex) => untilServed(port, apex, serial)));
    },
    close,
  };
}

function configuration(folder: string, port: number, apexes: readonly string[]): string {
  return `
server:
    rundir: "${folder}"
    listen: ${HOST}@${port}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: stderr
    any: warning
database:
    storage: "${folder}"
    journal-db-max-size: 16M
    kasp-db-max-size: 16M
    timer-db-max-size: 4M
template:
  - id: default
    storage: "${folder}"
    journal-content: none
    zonefile-load: whole
    zonefile-sync: -1
zone:
${apexes.map((apex) => `  - domain: ${apex}\n    file: "${apex}.zone"\n`).join('')}`;
}

function zoneFile(apex: string, serial: number, negativeTtlSeconds: number, records: string): string {
  return `$ORIGIN ${apex}.
$TTL 60
@ ${negativeTtlSeconds} IN SOA ns.${apex}. hostmaster.${apex}. ${serial} 3600 600 86400 ${negativeTtlSeconds}
@ IN NS ns.${apex}.
ns IN A ${HOST}
${records}
`;
}

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, HOST);
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new TypeError('a TCP server has a port');
  return address.port;
}

async function untilServed(port: number, apex: string, serial: number): Promise<void> {
  const deadlineMs = performance.now() + READY_WITHIN_MS;
  while ((await serialOf(port, apex)) !== serial) {
    if (performance.now() > deadlineMs) throw new Error(`${apex} is not served with serial ${serial}`);
  }
}

/** Asks for a zone's SOA; undefined where no answer comes soon. */
async function serialOf(port: number, apex: string): Promise<number | undefined> {
  const socket = createSocket('udp4');
  const soon = AbortSignal.timeout(200);
  // A refusal may also come when nobody waits for an answer any more.
  socket.on('error', () => undefined);
  try {
    socket.connect(port, HOST);
    await once(socket, 'connect', { signal: soon });
    socket.send(packet.encode({ type: 'query', id: 1, questions: [{ type: 'SOA', name: apex }] }));
    const [message] = (await once(socket, 'message', { signal: soon })) as [Buffer];
    const soa = packet.decode(message).answers?.find((answer) => answer.type === 'SOA');
    return soa?.data.serial;
  } catch {
    // Refused at once while the server is starting: don't ask in a tight loop.
    await delay(20);
    return undefined;
  } finally {
    socket.close();
  }
}
