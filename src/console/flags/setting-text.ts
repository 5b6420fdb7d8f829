import { percent, shortVersion } from '../now/gate-cell.js';

export interface Setting {
  readonly enabled: boolean;
  readonly variants: readonly { readonly version: string; readonly permille: number }[];
}

/** `on: 1.1.0 10 %, 1.0.0 90 %`. */
export function settingText({ enabled, variants }: Setting): string {
  const shares = variants.map(({ version, permille }) => `${shortVersion(version)} ${percent(permille)}`);
  return `${enabled ? 'on' : 'off'}: ${shares.length === 0 ? 'no version has a share' : shares.join(', ')}`;
}
