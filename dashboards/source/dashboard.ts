import type { GrafanaAnnotation, GrafanaDashboard, GrafanaPanel, GrafanaVariable } from './grafana.js';
import { COLUMNS, DATA_SOURCE, HEIGHT, panelJson, type Panel } from './panel.js';
import { JOB, tripsWithin } from './panels.js';

export interface Dashboard {
  /** Its address, and the name of its file. */
  readonly uid: string;
  readonly title: string;
  readonly description: string;
  readonly panels: readonly Panel[];
}

/** The schema that Grafana 13 writes. */
const SCHEMA_VERSION = 42;

/** A dashboard as Grafana stores it: panels from left to right, as many in a row as have room. */
export function dashboardJson({ uid, title, description, panels }: Dashboard): GrafanaDashboard {
  return {
    uid,
    title: `Portcullis: ${title}`,
    description,
    tags: ['portcullis'],
    schemaVersion: SCHEMA_VERSION,
    version: 1,
    editable: false,
    graphTooltip: 1,
    timezone: 'utc',
    time: { from: 'now-6h', to: 'now' },
    refresh: '10s',
    annotations: { list: ANNOTATIONS },
    templating: { list: VARIABLES },
    links: [
      {
        type: 'dashboards',
        title: 'Portcullis',
        icon: 'external link',
        tooltip: '',
        tags: ['portcullis'],
        targetBlank: false,
        asDropdown: true,
        includeVars: true,
        keepTime: true,
      },
    ],
    panels: placed(panels),
  };
}

function placed(panels: readonly Panel[]): GrafanaPanel[] {
  let x = 0;
  let y = 0;
  return panels.map((panel, index) => {
    const width = panel.width ?? COLUMNS / 2;
    if (x + width > COLUMNS) {
      x = 0;
      y += HEIGHT;
    }
    const json = panelJson(panel, index + 1, { x, y });
    x += width;
    return json;
  });
}

function labelValues(
  name: string,
  query: string,
  more: Pick<GrafanaVariable, 'multi' | 'includeAll' | 'allValue'>,
): GrafanaVariable {
  return {
    type: 'query',
    name,
    label: name,
    datasource: DATA_SOURCE,
    query: { query, refId: name },
    refresh: 2,
    sort: 1,
    ...more,
  };
}

const VARIABLES: readonly GrafanaVariable[] = [
  {
    type: 'datasource',
    name: 'datasource',
    label: 'data source',
    query: 'prometheus',
    regex: '',
  },
  labelValues('job', 'label_values(portcullis_gate_state, job)', {
    multi: false,
    includeAll: true,
    allValue: '.+',
  }),
  labelValues('region', 'label_values(portcullis_gate_state{job=~"$job"}, region)', {
    multi: true,
    includeAll: true,
    allValue: '.+',
  }),
];

function marks(name: string, colour: string, expr: string, title: string): GrafanaAnnotation {
  return {
    name,
    datasource: DATA_SOURCE,
    enable: true,
    iconColor: colour,
    target: { refId: name, datasource: DATA_SOURCE, expr, interval: '15s' },
    titleFormat: title,
  };
}

/** What happened, across every panel. */
export const ANNOTATIONS: readonly GrafanaAnnotation[] = [
  marks('trips', 'red', tripsWithin('1m'), '{{rule}} tripped {{job}} in {{region}}'),
  marks(
    'restores',
    'blue',
    `max by (job) (delta(portcullis_incident_rows{${JOB},measure="restored"}[1m])) > 0`,
    'rows of {{job}} were put back',
  ),
];
