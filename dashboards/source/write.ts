import { writeFile } from 'node:fs/promises';
import { format } from 'prettier';
import { dashboardJson } from './dashboard.js';
import { DASHBOARDS } from './dashboards.js';

/** Writes the JSON that Grafana reads: `npm run dashboards`. Run from the package's folder. */
for (const dashboard of DASHBOARDS) {
  const json = await format(JSON.stringify(dashboardJson(dashboard)), { parser: 'json', printWidth: 110 });
  await writeFile(`dashboards/grafana/dashboards/${dashboard.uid}.json`, json);
}
