/**
 * Pages of results.
 *
 * @module
 */

const style =
  `:root{color-scheme:light dark}body{font:15px/1.45 sans-serif;max-width:1150px;margin:2em auto;padding:0 1em}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:12px;margin:1em 0}caption{text-align:left;font-weight:bold}
th,td{padding:4px 7px;border-bottom:1px solid #8886;text-align:right;vertical-align:top}th:first-child{text-align:left}
small{display:block;white-space:nowrap;opacity:.8}svg{max-width:100%;height:auto}code{overflow-wrap:anywhere}`;

/** One HTML file, everything inside. */
export function htmlPage(title: string, sections: readonly string[]): string {
  return `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${title}</title><style>${style}</style><body>${
    sections.join("\n")
  }</body></html>\n`;
}
