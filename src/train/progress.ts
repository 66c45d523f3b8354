/**
 * Rates and times for people.
 *
 * @module
 */

/** Seconds as "48 s", "3 min 20 s" or "2 h 05 min". */
export function formatSeconds(seconds: number): string {
  if (!Number.isFinite(seconds)) return "unknown time";
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${String(s % 60).padStart(2, "0")} s`;
  return `${Math.floor(s / 3600)} h ${String(Math.floor(s % 3600 / 60)).padStart(2, "0")} min`;
}

/** Rate and time left, from the work of this run (not what a resumed run had done before). */
export class Rate {
  readonly #start = performance.now();

  /** `first` units were done before. */
  constructor(readonly first: number) {}

  /** Units per second, and the seconds that `total` units will still take. */
  at(done: number, total: number): { perSecond: number; left: number } {
    const seconds = (performance.now() - this.#start) / 1000;
    const perSecond = (done - this.first) / Math.max(seconds, 1e-9);
    return { perSecond, left: perSecond > 0 ? (total - done) / perSecond : Infinity };
  }
}

/** Lines of the phases in which kernels are compiled: their share of the kernels, and the time that the rest may take. */
export class CompileLines {
  #phase = "";
  #began = 0;
  #told = 0;

  /** At most one line in `everyMs` milliseconds goes to `say`. */
  constructor(readonly say: (line: string) => void, readonly everyMs = 500) {}

  /** See `CompileProgress`. */
  at(done: number, total: number, kernel: string, phase: "compile" | "first run"): void {
    const now = performance.now();
    if (done === 0 || phase !== this.#phase) this.#phase = phase, this.#began = now;
    if (now - this.#told < this.everyMs) return;
    this.#told = now;
    const left = done ? `, ${formatSeconds((now - this.#began) / 1000 / done * (total - done))} left` : "";
    const what = phase === "compile" ? "compiling kernels" : "first run of the kernels, which the driver compiles";
    this.say(`${what}: ${done}/${total} (${Math.floor(100 * done / total)} %${left}): ${kernel}`);
  }
}
