/** What the package `portcullis` exports. Nothing else is reachable; what is here is promised by semantic versioning. */
export type {
  AdmittedUnits,
  Change,
  DoctorContext,
  Finding,
  HeldElsewhere,
  Image,
  JobDefinition,
  JobMigrations,
  JobSample,
  Key,
  PlanContext,
  ProductUse,
  Requirement,
  Resource,
  Rows,
  SampleContext,
  SampleSql,
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
