/** What compilers say of kernels: the figures of each name, a table of them, and where they are worse than those kept. */
import type { Collected } from "./collect.ts";
import type { Compiled, Statistics } from "./compile.ts";

/** The worst of the kernels of one name. */
export interface Figures {
  /** Distinct kernels of this name. */
  readonly count: number;
  /** Of a thread; 0 where the driver does not say. */
  readonly registers: number;
  /** Registers that did not fit and went to memory (AMD), or the stores of them (Intel). */
  readonly spills: number;
  /** Bytes of workgroup memory. */
  readonly workgroup: number;
  /** Subgroups that run at a time on a SIMD unit (AMD), or lanes of a subgroup (Intel). */
  readonly occupancy: number;
  /** Kernels that are refused, and why the first is. */
  readonly refused: number;
  readonly reason?: string;
}

/** Figures by name of the kernel. */
export type Report = Readonly<Record<string, Figures>>;

/** The name under which a kernel's figures are kept: attention has a head's width too. */
export function reportName({ name, code }: Collected): string {
  const width = /^const WIDTH = (\d+)u;/m.exec(code)?.[1];
  return width && name.startsWith("attention") ? `${name}, head ${width}` : name;
}

/** Figures of what a compiler made of `kernels`. */
export function reportOf(kernels: readonly Collected[], compiled: readonly Compiled[]): Report {
  const report: Record<string, Figures> = {};
  for (const c of compiled) {
    const name = reportName(kernels[c.kernel]!), known = report[name];
    report[name] = known ? worst(known, figuresOf(c)) : figuresOf(c);
  }
  return report;
}

/** Drivers make programs of several widths and run the one that spills least. */
function figuresOf({ error, statistics }: Compiled): Figures {
  const programs = statistics.map(programFigures).sort((a, b) => a.spills - b.spills || b.occupancy - a.occupancy);
  const first = programs[0] ?? { registers: 0, spills: 0, workgroup: 0, occupancy: 0 };
  return { count: 1, ...first, refused: error ? 1 : 0, ...(error ? { reason: error.split("\n")[0]! } : {}) };
}

/** From the names that AMD's and Intel's drivers use. */
function programFigures(s: Statistics): Pick<Figures, "registers" | "spills" | "workgroup" | "occupancy"> {
  const of = (...names: string[]): number => names.reduce((n, name) => n + Number(s[name] ?? 0), 0);
  return {
    registers: of("VGPRs", "Max live registers"),
    spills: of("Spilled VGPRs", "Spilled SGPRs", "Spill Count"),
    workgroup: of("LDS size", "Workgroup Memory Size"),
    occupancy: of("VGPRs" in s ? "Subgroups per SIMD" : "subgroup"),
  };
}

function worst(a: Figures, b: Figures): Figures {
  const most = (key: "registers" | "spills" | "workgroup"): number => Math.max(a[key], b[key]);
  return {
    count: a.count + b.count,
    registers: most("registers"),
    spills: most("spills"),
    workgroup: most("workgroup"),
    occupancy: Math.min(a.occupancy, b.occupancy),
    refused: a.refused + b.refused,
    ...(a.refused || b.refused ? { reason: a.reason ?? b.reason! } : {}),
  };
}

/** A table with a row for each kernel and a column for each compiler: registers, spills, occupancy; then how many spill or are refused. */
export function table(reports: Readonly<Record<string, Report>>): string {
  const compilers = Object.keys(reports), names = Object.keys(reports[compilers[0]!] ?? {});
  const rows = names.map((name) => {
    const all = compilers.map((c) => reports[c]![name]);
    const bytes = Math.max(...all.map((f) => f?.workgroup ?? 0));
    return [name, String(all[0]?.count ?? 0), bytes ? String(bytes) : "", ...all.map(cell)];
  });
  const sums = ["all", String(names.reduce((n, name) => n + reports[compilers[0]!]![name]!.count, 0)), ""];
  const last = [...sums, ...compilers.map((c) => summary(Object.values(reports[c]!)))];
  return columns([["kernel", "n", "workgroup", ...compilers], ...rows, last]);
}

function cell(f: Figures | undefined): string {
  if (!f) return "";
  if (f.refused) return `${f.refused} refused`;
  return f.occupancy ? `${f.registers || "-"} / ${f.spills} / ${f.occupancy}` : "ok";
}

function summary(all: readonly Figures[]): string {
  const refused = all.reduce((n, f) => n + f.refused, 0);
  return `${all.filter((f) => f.spills).length} spill` + (refused ? `, ${refused} refused` : "");
}

function columns(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, i) => Math.min(60, Math.max(...rows.map((r) => r[i]!.length))));
  return rows.map((r) => r.map((text, i) => text.padEnd(widths[i]!)).join("  ").trimEnd() + "\n").join("");
}

/** Sentences on what is worse than it was; kernels that were not known may do what they want but be refused. */
export function regressions(compiler: string, kept: Report, now: Report): string[] {
  return Object.entries(now).flatMap(([name, f]) => {
    const was = kept[name], at = `${compiler}: ${name}:`;
    const worse = (["spills", "workgroup", "refused"] as const)
      .filter((key) => f[key] > (was ? was[key] : key === "refused" ? 0 : Infinity))
      .map((key) => `${at} ${key} ${was?.[key] ?? 0} -> ${f[key]}${key === "refused" ? ` (${f.reason})` : ""}`);
    const fewer = was && f.occupancy < was.occupancy ? [`${at} occupancy ${was.occupancy} -> ${f.occupancy}`] : [];
    return [...worse, ...fewer];
  });
}
