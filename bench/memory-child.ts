/** One run in a process of its own; prints the most memory that the process has had, in KiB. */
import { claimJob, claimPolicy, FIRST_BATCHES } from './claim-job.js';
import { openWorker } from './worker.js';

interface Task {
  readonly workerUrl: string;
  readonly plannerUrl: string;
  readonly region: string;
  readonly changes: number;
}

const task = JSON.parse(process.env['BENCH_TASK'] ?? '') as Task;
const worker = await openWorker(task, claimJob());
await worker.run(task.region, claimPolicy([task.region], FIRST_BATCHES), task.changes);
await worker.close();
process.stdout.write(`${process.resourceUsage().maxRSS}\n`);
