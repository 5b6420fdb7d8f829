/** What the package `portcullis` exports. Nothing else is reachable; what is here is promised by semantic versioning. */
export type {
  AdmittedUnits,
  Change,
  CommandContext,
  DoctorContext,
  Finding,
  HeldElsewhere,
  Image,
  JobCommand,
  JobDefinition,
  JobMigrations,
  JobSample,
  Key,
  OwnerSql,
  PlanContext,
  ProductUse,
  Requirement,
  Resource,
  Rows,
  SampleContext,
  UniqueAcross,
  UnitSource,
  Value,
} from './contract.js';
export {
  defineConfig,
  env,
  type ConfigDefinition,
  type DatabaseConfig,
  type DevelopmentConfig,
  type EnvReference,
} from './define-config.js';
export {
  defineJob,
  type ChangeOf,
  type Columns,
  type Job,
  type JobDeclaration,
  type Kinds,
  type RequirementOf,
  type Tables,
} from './define-job.js';
export { table, type Table, type TableOptions } from './table.js';
