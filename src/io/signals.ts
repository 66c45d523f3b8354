/**
 * Signals that end a program in order.
 *
 * @module
 */

/** Signals that ask a program to end, and the status that it then ends with: 128 and the signal's number. */
const STATUS = { SIGINT: 130, SIGTERM: 143 } as const;

/** A wish to stop, as a signal for `train` and others. */
export interface StopRequest extends Disposable {
  /** Aborted by the first SIGINT (Ctrl-C) or SIGTERM; its reason is a sentence. */
  readonly signal: AbortSignal;
  /** The status that a program ends with which was stopped: 130 or 143; undefined while it was not. */
  readonly status: number | undefined;
}

/**
 * Listens for Ctrl-C and SIGTERM until it is disposed of. The first one aborts the signal, so that the program can end in order; a second
 * one ends the process at once.
 */
export function stopOnSignals(): StopRequest {
  const controller = new AbortController();
  let status: number | undefined;
  // Windows has no SIGTERM.
  const names = Object.keys(STATUS).filter((name) => name !== "SIGTERM" || Deno.build.os !== "windows");
  const listeners = (names as (keyof typeof STATUS)[]).map((name) => {
    const listener = (): void => {
      if (status !== undefined) Deno.exit(STATUS[name]);
      status = STATUS[name];
      controller.abort(new Error(`The program was asked to stop by ${name}`));
    };
    Deno.addSignalListener(name, listener);
    return [name, listener] as const;
  });
  return {
    signal: controller.signal,
    get status() {
      return status;
    },
    [Symbol.dispose]() {
      for (const [name, listener] of listeners) Deno.removeSignalListener(name, listener);
    },
  };
}
