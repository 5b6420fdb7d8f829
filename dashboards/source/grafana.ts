/**
 * A dashboard as Grafana reads it from a file: the types of @grafana/schema, put together more strictly than the
 * package does. There, a panel's options and custom fields may be anything; here they are what its kind of panel has.
 */
import type {
  AnnotationQuery,
  Dashboard,
  DataQuery,
  FieldConfig,
  Panel,
  ThresholdsConfig,
} from '@grafana/schema';
import type * as BarGauge from '@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen';
import type * as Stat from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type * as StateTimeline from '@grafana/schema/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen';
import type * as TimeSeries from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

/** What a file has for a value of this type: an enum's text or number in its place. */
type Written<T> = T extends string
  ? `${T}`
  : T extends number
    ? NumberOf<T>
    : T extends readonly (infer Item)[]
      ? readonly Written<Item>[]
      : T extends object
        ? { readonly [Key in keyof T]: Written<T[Key]> }
        : T;
type NumberOf<T extends number> = `${T}` extends `${infer Value extends number}` ? Value : T;

/**
 * A query for Prometheus. The schema has what every query has; the rest is said by the data source's own package,
 * which would bring Grafana's whole editor along.
 */
interface PrometheusQuery extends DataQuery {
  expr: string;
  legendFormat?: string;
  /** The values of now, the values over time, or both. */
  instant?: boolean;
  range?: boolean;
  /** The shortest time from one value to the next. */
  interval?: string;
}

interface PrometheusAnnotation extends AnnotationQuery<PrometheusQuery> {
  target: PrometheusQuery;
  /** As a legend. */
  titleFormat: string;
}

/** A custom field that the series of some legends have otherwise. */
type Override<Custom> = [Custom] extends [never]
  ? never
  : {
      [Key in keyof Custom & string]: { id: `custom.${Key}`; value: Required<Custom>[Key] };
    }[keyof Custom & string];

interface PanelOf<Type extends string, Options, Custom> extends Omit<
  Panel,
  'type' | 'options' | 'fieldConfig' | 'targets'
> {
  id: number;
  type: Type;
  title: string;
  description: string;
  targets: PrometheusQuery[];
  options: Options;
  fieldConfig: {
    defaults: Omit<FieldConfig, 'custom'> & { unit: string; noValue: string; custom?: Custom };
    overrides: { matcher: { id: 'byRegexp'; options: string }; properties: Override<Custom>[] }[];
  };
}

type AnyPanel =
  | PanelOf<'timeseries', TimeSeries.Options, TimeSeries.FieldConfig>
  | PanelOf<'stat', Stat.Options, never>
  | PanelOf<'bargauge', BarGauge.Options, never>
  | PanelOf<'state-timeline', StateTimeline.Options, StateTimeline.FieldConfig>;

export type GrafanaPanel<Type = AnyPanel['type']> = Written<Extract<AnyPanel, { type: Type }>>;

export type GrafanaThresholds = Written<ThresholdsConfig>;

/** One dashboard's file. */
export type GrafanaDashboard = Written<
  Omit<Dashboard, 'panels' | 'annotations'> & {
    uid: string;
    panels: AnyPanel[];
    annotations: { list: PrometheusAnnotation[] };
  }
>;

type Listed<List> = List extends { readonly list?: readonly (infer Item)[] } ? Item : never;
export type GrafanaAnnotation = Listed<GrafanaDashboard['annotations']>;
export type GrafanaVariable = Listed<NonNullable<GrafanaDashboard['templating']>>;
