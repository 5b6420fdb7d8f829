import type { Random } from './random.js';

const words = (text: string): readonly string[] => text.trim().split(/\s+/);

const ADJECTIVES = words(`
  amber ancient autumn azure bold brass bright calm cedar clear cobalt copper coral crisp distant eager early
  ember fabled gentle gilded golden grand hidden hollow humble indigo ivory jade keen late lively lone lucid
  lunar maple mellow misty modest noble northern olive open pale patient plain polar prime quiet rapid ruby
  russet rustic sandy scarlet silent silver sleek solar steady stone swift tidal tranquil upper velvet vivid`);
const NOUNS = words(`
  anchor anvil arbour arrow aspen badger basin beacon bellows birch bison bramble bridge brook canyon cinder
  cliff clover comet compass condor cove crane creek delta drift dune falcon fern finch fjord forge fox garnet
  glacier grove harbour hawk heron hollow island juniper kestrel lantern larch ledge lynx marlin meadow mesa
  mill moss oak orbit osprey otter pebble pine plover prairie quarry quill rapids raven reef ridge river`);
const FORMS = words('Ltd GmbH Inc LLC AG SA BV Oy KK Group Labs Works Partners Holdings');
const TLDS = words('com com com com net net eu eu de co.uk co.uk org io fr nl co.jp com.au');

const FIRST_NAMES = words(`
  ada aiko alba amir ana anders anika arjun astrid bela bruno carla chen clara dana david diego elena elif emil
  emma enzo erik fatima felix femi finn freya gita grace hana hugo ines ivan jana jonas jun kai karim kenji
  lars leila lena leo lina luca maja marco maria mateo mia mila nadia nils noor olga omar oskar paula priya
  rafael rosa ruth samir sara sofia tariq tomas uma vera viktor wei yara yuki zoe`);
const LAST_NAMES = words(`
  abe adler aydin bakker bauer becker berg bianchi brandt castro chen costa cruz dahl diaz dubois duarte ekman
  farah ferrari fischer fontana garcia gruber haas hansen hoffman ibrahim ito ivanov jansen kaya keller khan
  kim kovacs kowalski kumar larsen lee lehmann lopez maier marino martin meyer mori moreau nakamura nguyen
  novak okafor olsen ortiz park patel peeters pereira popov rao reyes ricci rossi santos sato schmid silva
  singh smith suzuki tanaka torres varga vogel wagner wang weber yilmaz young zhang`);

const capital = (word: string): string => word.charAt(0).toUpperCase() + word.slice(1);

/** A company's name, and the two words its domains are made of. */
export function organisationName(random: Random): { name: string; stem: string } {
  const [adjective, noun] = [random.pick(ADJECTIVES), random.pick(NOUNS)];
  return {
    name: `${capital(adjective)} ${capital(noun)} ${random.pick(FORMS)}`,
    stem: `${adjective}-${noun}`,
  };
}

/** An evidently made-up domain under an ordinary suffix; another number makes another name. */
export function domainName(random: Random, stem: string, number: number): string {
  return `${stem}-${number}.${random.pick(TLDS)}`;
}

/** A person's local part, as companies form them. */
export function localPart(random: Random): string {
  const [first, last] = [random.pick(FIRST_NAMES), random.pick(LAST_NAMES)];
  const form = random.weighted({ dotted: 70, initial: 20, joined: 10 });
  if (form === 'dotted') return `${first}.${last}`;
  return form === 'initial' ? `${first.charAt(0)}${last}` : `${first}${last}`;
}
