import type { GrafanaPanel, GrafanaThresholds } from './grafana.js';

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

export interface Lines extends PanelBase {
  readonly kind: 'lines';
  readonly stacked?: boolean;
  readonly max?: number;
  /** From zero upwards where nothing is said; `signed` goes below it, `logarithmic` never reaches it. */
  readonly scale?: 'signed' | 'logarithmic';
  /** Series with such a legend, a regular expression, are what others are held against: thin and dashed. */
  readonly bounds?: string;
}

export interface Figure extends PanelBase {
  readonly kind: 'figure';
  readonly thresholds?: readonly Threshold[];
}

export interface Bars extends PanelBase {
  readonly kind: 'bars';
  readonly max?: number;
}

export interface States extends PanelBase {
  readonly kind: 'states';
  readonly states: Readonly<Record<number, readonly [string, string]>>;
}

export type Panel = Lines | Figure | Bars | States;

interface Place {
  readonly x: number;
  readonly y: number;
}

export const HEIGHT = 8;
export const COLUMNS = 24;

/** Grafana's variable for the Prometheus that is asked. */
export const DATA_SOURCE = { type: 'prometheus', uid: '${datasource}' };

/** A panel as Grafana stores it. */
export function panelJson(panel: Panel, id: number, at: Place): GrafanaPanel {
  switch (panel.kind) {
    case 'lines':
      return { ...shared(panel, id, at, OVER_TIME), ...linesJson(panel) };
    case 'figure':
      return { ...shared(panel, id, at, NOW), ...figureJson(panel) };
    case 'bars':
      return { ...shared(panel, id, at, NOW), ...barsJson(panel) };
    case 'states':
      return { ...shared(panel, id, at, OVER_TIME), ...statesJson(panel) };
  }
}

/** A figure and a bar show what is; lines and states, how it came about. */
const NOW = { instant: true, range: false };
const OVER_TIME = { instant: false, range: true };

type Own<Type> = Pick<GrafanaPanel<Type>, 'type' | 'options' | 'fieldConfig'>;

function shared(
  panel: Panel,
  id: number,
  at: Place,
  span: typeof NOW,
): Omit<GrafanaPanel, keyof Own<string>> {
  return {
    id,
    title: panel.title,
    description: panel.description,
    datasource: DATA_SOURCE,
    gridPos: { h: HEIGHT, w: panel.width ?? COLUMNS / 2, ...at },
    targets: panel.queries.map(({ expr, legend }, index) => ({
      refId: String.fromCharCode('A'.charCodeAt(0) + index),
      datasource: DATA_SOURCE,
      expr,
      legendFormat: legend,
      ...span,
    })),
  };
}

const LEGEND = { calcs: [], displayMode: 'list', placement: 'bottom', showLegend: true } as const;

function linesJson({ unit, empty, stacked = false, max, scale, bounds }: Lines): Own<'timeseries'> {
  return {
    type: 'timeseries',
    options: { legend: LEGEND, tooltip: { mode: 'multi', sort: 'desc' } },
    fieldConfig: {
      defaults: {
        unit,
        noValue: empty,
        ...(scale === undefined && { min: 0 }),
        ...(max !== undefined && { max }),
        custom: {
          drawStyle: 'line',
          lineWidth: 2,
          fillOpacity: stacked ? 30 : 8,
          showPoints: 'auto',
          // A gap is a gap: nobody is to read silence as calm.
          spanNulls: false,
          stacking: { mode: stacked ? 'normal' : 'none', group: 'A' },
          ...(scale === 'logarithmic' && { scaleDistribution: { type: 'log', log: 10 } }),
        },
      },
      overrides:
        bounds === undefined
          ? []
          : [
              {
                matcher: { id: 'byRegexp', options: bounds },
                properties: [
                  { id: 'custom.lineStyle', value: { fill: 'dash', dash: [8, 8] } },
                  { id: 'custom.lineWidth', value: 1 },
                  { id: 'custom.fillOpacity', value: 0 },
                ],
              },
            ],
    },
  };
}

const NEWEST = { calcs: ['lastNotNull'], fields: '', values: false };

function figureJson({ unit, empty, thresholds = [] }: Figure): Own<'stat'> {
  return {
    type: 'stat',
    options: {
      reduceOptions: NEWEST,
      orientation: 'auto',
      colorMode: 'value',
      graphMode: 'none',
      textMode: 'auto',
      justifyMode: 'auto',
      wideLayout: true,
      showPercentChange: false,
      percentChangeColorMode: 'standard',
    },
    fieldConfig: {
      defaults: { unit, noValue: empty, color: { mode: 'thresholds' }, thresholds: steps(thresholds) },
      overrides: [],
    },
  };
}

function barsJson({ unit, empty, max }: Bars): Own<'bargauge'> {
  return {
    type: 'bargauge',
    options: {
      reduceOptions: NEWEST,
      orientation: 'horizontal',
      displayMode: 'basic',
      valueMode: 'color',
      namePlacement: 'auto',
      showUnfilled: true,
      sizing: 'auto',
      minVizWidth: 8,
      minVizHeight: 16,
      maxVizHeight: 300,
      legend: { ...LEGEND, showLegend: false },
    },
    fieldConfig: {
      defaults: {
        unit,
        noValue: empty,
        min: 0,
        ...(max !== undefined && { max }),
        color: { mode: 'thresholds' },
        thresholds: steps([]),
      },
      overrides: [],
    },
  };
}

function statesJson({ unit, empty, states }: States): Own<'state-timeline'> {
  return {
    type: 'state-timeline',
    options: {
      mergeValues: true,
      showValue: 'auto',
      rowHeight: 0.9,
      legend: LEGEND,
      tooltip: { mode: 'single', sort: 'none' },
    },
    fieldConfig: {
      defaults: {
        unit,
        noValue: empty,
        custom: { fillOpacity: 80, lineWidth: 0 },
        mappings: [
          {
            type: 'value',
            options: Object.fromEntries(
              Object.entries(states).map(([value, [text, color]], index) => [value, { text, color, index }]),
            ),
          },
        ],
      },
      overrides: [],
    },
  };
}

function steps(thresholds: readonly Threshold[]): GrafanaThresholds {
  return {
    mode: 'absolute',
    steps: [
      { color: 'green', value: null },
      ...thresholds.map(({ from, colour }) => ({ color: colour, value: from })),
    ],
  };
}
