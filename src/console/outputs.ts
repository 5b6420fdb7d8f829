import type { OperationName, Operations } from '../operations/list.js';
import type { InputOf, OutputOf } from '../operations/operation.js';

/** What an operation is given, and what it answers. */
export type Input<Name extends OperationName> = InputOf<Operations[Name]>;
export type Output<Name extends OperationName> = OutputOf<Operations[Name]>;
