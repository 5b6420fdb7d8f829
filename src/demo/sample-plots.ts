import type { Random } from './random.js';
import { DOMAIN_SCENES, type DomainScene, type DomainTimes } from './sample-domain-scenes.js';
import { domainName } from './sample-names.js';
import type { OrganisationRow } from './sample-rows.js';

export interface Organisation {
  readonly row: OrganisationRow;
  /** What its domains' names begin with. */
  readonly stem: string;
}

/** A domain to be: whose, in which scene, under which name. */
export interface Plot {
  readonly organisation: Organisation;
  readonly scene: DomainScene;
  readonly times: DomainTimes;
  readonly name: string;
}

/**
 * Gives each of a region's scenes to one of its organisations, every organisation at least one. `number`
 * tells names apart: each call answers another.
 */
export function plotsOf(
  random: Random,
  organisations: readonly Organisation[],
  number: () => number,
): readonly Plot[] {
  const scenes = DOMAIN_SCENES.flatMap((scene) => Array.from({ length: scene.perRegion }, () => scene));
  const more = Array.from({ length: scenes.length - organisations.length }, () => random.pick(organisations));
  const owners = random.shuffled([...organisations, ...more]);
  const plots = scenes.map((scene, index): Plot => {
    const organisation = owners[index] ?? random.pick(organisations);
    const name = domainName(random, organisation.stem, number());
    return { organisation, scene, times: scene.times(random), name };
  });
  return shareNames(random, plots);
}

/** Gives a rival's plot the name that it disputes with another organisation. A name is disputed once. */
function shareNames(random: Random, plots: readonly Plot[]): readonly Plot[] {
  const owners = random.shuffled(plots.filter(({ scene }) => scene === DOMAIN_SCENES[0]));
  const twins: Plot[] = [];
  return plots.map((plot) => {
    if (plot.scene.rival === undefined) return plot;
    const rivals = plot.scene.rival === 'twin' ? twins : owners;
    const at = rivals.findIndex((other) => other.organisation !== plot.organisation);
    const [rival] = at === -1 ? [] : rivals.splice(at, 1);
    if (rival !== undefined) return { ...plot, name: rival.name };
    if (plot.scene.rival === 'twin') twins.push(plot);
    return plot;
  });
}
