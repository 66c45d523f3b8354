/**
 * Charts drawn by Vega-Lite as SVG: no browser is needed.
 *
 * @module
 */
import sharp from "npm:sharp@0.35.5";
import { parse, View } from "npm:vega@6.4.0";
import { compile } from "npm:vega-lite@6.5.0";

/** Okabe and Ito's colours, which colour-blind people can tell apart; yellow, which is faint on white, comes last. */
export const colors: readonly string[] = [
  "#000000",
  "#E69F00",
  "#56B4E9",
  "#009E73",
  "#D55E00",
  "#CC79A7",
  "#0072B2",
  "#F0E442",
];

/** A Vega-Lite specification as SVG. */
export async function draw(spec: Record<string, unknown>): Promise<string> {
  const config = {
    font: "sans-serif",
    axis: { labelLimit: 0, labelFontSize: 12, titleFontSize: 12 },
    legend: { labelLimit: 0 },
  };
  // deno-lint-ignore no-explicit-any
  const { spec: vega } = compile({ background: "white", padding: 8, config, ...spec } as any);
  return await new View(parse(vega), { renderer: "none" }).toSVG();
}

/** An SVG as PNG, twice its size. */
export async function png(svg: string): Promise<Uint8Array> {
  return await sharp(new TextEncoder().encode(svg), { density: 144 }).png().toBuffer();
}
