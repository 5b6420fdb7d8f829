/** What tabs of one browser tell each other. */
export type Said<News> =
  | { readonly kind: 'ask'; readonly from: string }
  | { readonly kind: 'beat'; readonly from: string; readonly news: News }
  | { readonly kind: 'release'; readonly from: string; readonly news: News };

export interface TabsOptions<News> {
  readonly id: string;
  say(said: Said<News>): void;
  /** What the tab that owns the stream knows, for those that follow it. */
  news(): News;
  heard(news: News): void;
  /** This tab is to have the stream, or to have it no longer. */
  begin(): void;
  end(): void;
}

/** So long an owner is silent before another tab takes the stream. */
const SILENT_MS = 2_500;
/** So long a tab that becomes visible listens before it takes the stream. */
const LISTEN_MS = 150;

/**
 * Decides which tab of a browser has the one stream: one that is visible. It tells the others at least every second; where
 * it hides, freezes or falls silent, another visible one takes the stream, and where none is visible none has it. Web Locks
 * would decide this too, and are missing over plain HTTP.
 */
export class Tabs<News> {
  readonly #options: TabsOptions<News>;
  #visible = false;
  #owns = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: TabsOptions<News>) {
    this.#options = options;
  }

  get owns(): boolean {
    return this.#owns;
  }

  show(): void {
    if (this.#visible) return;
    this.#visible = true;
    this.#options.say({ kind: 'ask', from: this.#options.id });
    this.#takeAfter(LISTEN_MS);
  }

  hide(): void {
    if (!this.#visible) return;
    this.#visible = false;
    clearTimeout(this.#timer);
    if (!this.#owns) return;
    this.#drop();
    this.#options.say({ kind: 'release', from: this.#options.id, news: this.#options.news() });
  }

  /** To be called by the owner whenever something is new, and at least every second. */
  beat(): void {
    if (this.#owns) this.#options.say({ kind: 'beat', from: this.#options.id, news: this.#options.news() });
  }

  hear(said: Said<News>): void {
    if (said.from === this.#options.id) return;
    if (said.kind === 'ask') {
      this.beat();
      return;
    }
    if (this.#owns) {
      // Two took it in the same moment: one of them, always the same, lets go.
      if (said.kind === 'beat' && said.from < this.#options.id) this.#drop();
      else {
        this.beat();
        return;
      }
    }
    if (!this.#visible) return;
    this.#options.heard(said.news);
    this.#takeAfter(said.kind === 'release' ? Math.random() * LISTEN_MS : SILENT_MS);
  }

  #takeAfter(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      if (!this.#visible || this.#owns) return;
      this.#owns = true;
      this.#options.begin();
      this.beat();
    }, ms);
  }

  #drop(): void {
    this.#owns = false;
    this.#options.end();
  }
}
