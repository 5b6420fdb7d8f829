import { register } from 'node:module';

/**
 * The package `portcullis/typescript`: from its import on, this process loads TypeScript as it stands, as
 * `portcullis` itself does. `node --import portcullis/typescript --test test/my-job.test.ts`
 */
register(new URL('./typescript-hooks.js', import.meta.url));
