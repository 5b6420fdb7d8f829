import { Option } from 'commander';

/** For commands that run the code of jobs. */
export function configOption(): Option {
  return new Option(
    '--config <file>',
    'the file that lists the jobs; portcullis.config.* of the working folder if absent',
  );
}
