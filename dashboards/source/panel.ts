/** What a panel's values are measured in: Grafana's own names. */
export type Unit = 'short' | 's' | 'percentunit' | 'ops' | 'none' | 'dateTimeFromNow';

/** One query of a panel. */
export interface Query {
  readonly expr: string;
  /** How a series is named: `{{region}}`. */
  readonly legend: string;
}

interface PanelBase {
  readonly title: string;
  /** What it shows, and when to worry. */
  readonly description: string;
  readonly unit: Unit;
  readonly queries: readonly Query[];
  /** What stands there while there is nothing to show. */
  readonly empty: string;
  /** Of 24 columns. */
  readonly width?: number;
}

export interface Threshold {
  readonly from: number;
  readonly colour: 'green' | 'orange' | 'red';
}

export type Panel =
  | (PanelBase & { readonly kind: 'lines'; readonly stacked?: boolean; readonly max?: number })
  | (PanelBase & { readonly kind: 'figure'; readonly thresholds?: readonly Threshold[] })
  | (PanelBase & { readonly kind: 'bars'; readonly max?: number })
  | (PanelBase & {
      readonly kind: 'states';
      readonly states: Readonly<Record<number, readonly [string, string]>>;
    });

export const HEIGHT = 8;
export const COLUMNS = 24;

/** Grafana's variable for the Prometheus that is asked. */
export const DATA_SOURCE = { type: 'prometheus', uid: '${datasource}' };

type Json = Readonly<Record<string, unknown>>;

/** A panel as Grafana stores it. */
export function panelJson(panel: Panel, id: number, at: { readonly x: number; readonly y: number }): Json {
  return {
    id,
    type: TYPES[panel.kind],
    title: panel.title,
    description: panel.description,
    datasource: DATA_SOURCE,
    gridPos: { h: HEIGHT, w: panel.width ?? COLUMNS / 2, ...at },
    targets: panel.queries.map(({ expr, legend }, index) => ({
      refId: String.fromCharCode('A'.charCodeAt(0) + index),
      datasource: DATA_SOURCE,
      expr,
      legendFormat: legend,
      // A figure and a bar show what is; lines and states, how it came about.
      ...(panel.kind === 'figure' || panel.kind === 'bars'
        ? { instant: true, range: false }
        : { instant: false, range: true }),
    })),
    fieldConfig: { defaults: { unit: panel.unit, noValue: panel.empty, ...fieldOf(panel) }, overrides: [] },
    options: optionsOf(panel),
  };
}

const TYPES = { lines: 'timeseries', figure: 'stat', bars: 'bargauge', states: 'state-timeline' } as const;

function fieldOf(panel: Panel): Json {
  switch (panel.kind) {
    case 'lines':
      return {
        min: 0,
        ...(panel.max !== undefined && { max: panel.max }),
        custom: {
          drawStyle: 'line',
          lineWidth: 2,
          fillOpacity: panel.stacked === true ? 30 : 8,
          showPoints: 'auto',
          // A gap is a gap: nobody is to read silence as calm.
          spanNulls: false,
          stacking: { mode: panel.stacked === true ? 'normal' : 'none', group: 'A' },
        },
      };
    case 'figure':
      return { thresholds: steps(panel.thresholds ?? []), color: { mode: 'thresholds' } };
    case 'bars':
      return { min: 0, ...(panel.max !== undefined && { max: panel.max }), thresholds: steps([]) };
    case 'states':
      return {
        custom: { fillOpacity: 80, lineWidth: 0 },
        mappings: [
          {
            type: 'value',
            options: Object.fromEntries(
              Object.entries(panel.states).map(([value, [text, color]], index) => [
                value,
                { text, color, index },
              ]),
            ),
          },
        ],
      };
  }
}

function steps(thresholds: readonly Threshold[]): Json {
  return {
    mode: 'absolute',
    steps: [
      { color: 'green', value: null },
      ...thresholds.map(({ from, colour }) => ({ color: colour, value: from })),
    ],
  };
}

function optionsOf(panel: Panel): Json {
  const reduceOptions = { calcs: ['lastNotNull'], fields: '', values: false };
  switch (panel.kind) {
    case 'lines':
      return {
        legend: { displayMode: 'list', placement: 'bottom', showLegend: true },
        tooltip: { mode: 'multi', sort: 'desc' },
      };
    case 'figure':
      return { reduceOptions, colorMode: 'value', graphMode: 'none', textMode: 'auto', justifyMode: 'auto' };
    case 'bars':
      return { reduceOptions, orientation: 'horizontal', displayMode: 'basic', showUnfilled: true };
    case 'states':
      return {
        mergeValues: true,
        showValue: 'auto',
        rowHeight: 0.9,
        legend: { displayMode: 'list', placement: 'bottom', showLegend: true },
        tooltip: { mode: 'single' },
      };
  }
}
