/**
 * Several sources mixed by tokens.
 *
 * @module
 */
import type { Sequence } from "./sequence.ts";
import type { SequenceSource, SourceState } from "./source.ts";

/** A source and its part of a mixture. */
export interface MixPart {
  /** Gives the documents. */
  readonly source: SequenceSource;
  /** Its share of all tokens, an image counting as its P tokens; shares are taken relative to their sum. */
  readonly share: number;
}

/** Where a mixture is: plain data for JSON. */
export interface MixerState {
  /** Tokens given by each source. */
  readonly tokens: readonly number[];
  /** Where each source is. */
  readonly sources: readonly SourceState[];
  /** What is left of each source's text that was cut. */
  readonly rests: readonly (Sequence | null)[];
}

/** What there is room for. */
export interface Room {
  /** Tokens: a text that has more is cut and goes on when its source is next; a document of a source with images is given whole. */
  readonly tokens: number;
  /** Images. */
  readonly images: number;
}

/**
 * Gives documents of several sources so that each has its share of the tokens at any time, to within a document or a piece of one: the
 * next one comes from the source that is furthest behind. Nothing is drawn here; the sources' seeds decide.
 */
export class Mixer {
  readonly #parts: readonly MixPart[];
  readonly #tokens: number[];
  readonly #rests: (Sequence | null)[];

  /**
   * Leaves sources without a share alone.
   *
   * @throws {RangeError} If a share is negative or all are 0.
   */
  constructor(parts: readonly MixPart[]) {
    const total = parts.reduce((sum, { share }) => sum + share, 0);
    const bad = parts.find(({ share }) => !(share >= 0 && share < Infinity));
    if (bad || !(total > 0)) {
      const found = bad ? `that of ${bad.source.name} is ${bad.share}` : "none is";
      throw new RangeError(`Cannot mix: shares must be numbers of at least 0, and one above it: ${found}`);
    }
    this.#parts = parts.filter(({ share }) => share > 0).map(({ source, share }) => ({ source, share: share / total }));
    this.#tokens = this.#parts.map(() => 0);
    this.#rests = this.#parts.map(() => null);
  }

  /** The most images that a document may have. */
  get images(): number {
    return Math.max(...this.#parts.map(({ source }) => source.images));
  }

  /** Tokens so far of each source with a share, by its name. */
  get tokens(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#parts.map(({ source }, i) => [source.name, this.#tokens[i]!]));
  }

  /** The next document, or a piece of a text; undefined where no source has documents of so few images. */
  async next({ tokens, images }: Room): Promise<Sequence | undefined> {
    const able = [...this.#parts.keys()].filter((i) => this.#parts[i]!.source.images <= images);
    if (!able.length) return undefined;
    const given = this.#tokens.reduce((a, b) => a + b);
    const behind = (i: number) => this.#parts[i]!.share * given - this.#tokens[i]!;
    const next = able.reduce((best, i) => behind(i) > behind(best) ? i : best), { source } = this.#parts[next]!;
    const whole = this.#rests[next] ?? await source.next();
    const cut = source.images === 0 && whole.tokens.length > tokens;
    const sequence = cut ? slice(whole, 0, tokens) : whole;
    this.#rests[next] = cut ? slice(whole, tokens) : null;
    this.#tokens[next]! += sequence.tokens.length;
    return sequence;
  }

  /** Where it is. */
  save(): MixerState {
    const sources = this.#parts.map(({ source }) => source.save());
    return { tokens: [...this.#tokens], sources, rests: [...this.#rests] };
  }

  /** Goes to where it was. @throws {RangeError} If it was a mixture of another number of sources. */
  restore({ tokens, sources, rests }: MixerState): void {
    const count = this.#parts.length;
    if (sources.length !== count) {
      throw new RangeError(
        `Cannot go on with a mixture: it must have ${sources.length} sources as before: it has ${count}`,
      );
    }
    this.#tokens.splice(0, count, ...tokens);
    this.#rests.splice(0, count, ...rests);
    this.#parts.forEach(({ source }, i) => source.restore(sources[i]!));
  }
}

/** A part of a text. */
function slice({ tokens, learned }: Sequence, from: number, to?: number): Sequence {
  return { tokens: tokens.slice(from, to), learned: learned.slice(from, to), images: [] };
}
