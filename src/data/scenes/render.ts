/**
 * Pictures of scenes.
 *
 * @module
 */

import type { Random } from "../../random/random.ts";
import { type Color, GRID, type Scene, type SceneObject, type Shape, type Size } from "./world.ts";

/** Where an object is in the picture, in parts of the picture's side. */
export interface Placement {
  /** The centre, from the left. */
  readonly x: number;
  /** The centre, from the top. */
  readonly y: number;
  /** Half the side of the square that the object fills. */
  readonly radius: number;
}

const colorCodes: Record<Color, string> = {
  red: "#dc1e28",
  orange: "#fa8200",
  yellow: "#f5d700",
  green: "#1e9632",
  cyan: "#28d2dc",
  blue: "#1e46dc",
  purple: "#8c28aa",
  black: "#191919",
};

/** Radius in parts of a grid cell, and how far the centre may be from the cell's along each axis: no object leaves its cell. */
const extents: Record<Size, { radius: number; jitter: number }> = {
  small: { radius: 0.25, jitter: 0.12 },
  big: { radius: 0.44, jitter: 0.06 },
};

/** Outlines in the square from -1 to 1. */
const outlines: Record<Shape, string> = {
  circle: `<circle r="0.95"/>`,
  square: `<rect x="-0.84" y="-0.84" width="1.68" height="1.68"/>`,
  triangle: `<path d="M0 -1L1 0.85L-1 0.85Z"/>`,
  ring: `<circle r="0.72" fill="none" stroke-width="0.44"/>`,
  star: `<path d="${star(5, 1, 0.4)}"/>`,
  cross: `<path d="M-0.3 -1H0.3V-0.3H1V0.3H0.3V1H-0.3V0.3H-1V-0.3H-0.3Z"/>`,
  diamond: `<path d="M0 -1L0.72 0L0 1L-0.72 0Z"/>`,
  heart:
    `<path d="M0 0.95C-1.6 -0.1 -0.95 -1 -0.5 -0.9C-0.2 -0.85 0 -0.6 0 -0.4C0 -0.6 0.2 -0.85 0.5 -0.9C0.95 -1 1.6 -0.1 0 0.95Z"/>`,
};

/** Where the objects of a scene are drawn: near the centres of their cells. */
export function placeObjects(scene: Scene, random: Random): Placement[] {
  return scene.map(({ size, row, column }) => {
    const { radius, jitter } = extents[size];
    const near = (cell: number) => (cell + 0.5 + random.uniform(-jitter, jitter)) / GRID;
    return { x: near(column), y: near(row), radius: radius / GRID };
  });
}

/** A scene as SVG on a light grey background with faint lines and dots. */
export function sceneSvg(scene: Scene, places: readonly Placement[], size: number, random: Random): string {
  const objects = scene.map((object, i) => objectSvg(object, places[i]!)).join("");
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${size}" height="${size}" viewBox="0 0 1 1">` +
    `<rect width="1" height="1" fill="${grey(random, 232, 255)}"/>${clutter(random)}${objects}</svg>`;
}

/** An SVG as PNG file. */
export async function renderPng(svg: string): Promise<Uint8Array> {
  const { default: sharp } = await import("npm:sharp@0.35.5"); // when needed: it is native code, which takes permissions
  return await sharp(new TextEncoder().encode(svg)).flatten().png({ compressionLevel: 6 }).toBuffer();
}

function objectSvg({ shape, color }: SceneObject, { x, y, radius }: Placement): string {
  const code = colorCodes[color];
  return `<g transform="translate(${x.toFixed(4)} ${y.toFixed(4)}) scale(${
    radius.toFixed(4)
  })" fill="${code}" stroke="${code}" ` +
    `stroke-width="0">${outlines[shape]}</g>`;
}

function clutter(random: Random): string {
  const at = () => random.uniform().toFixed(3);
  const lines = Array.from(
    { length: 2 + random.below(4) },
    () =>
      `<path d="M${at()} ${at()}L${at()} ${at()}" stroke="${grey(random, 185, 225)}" ` +
      `stroke-width="${random.uniform(0.006, 0.016).toFixed(4)}"/>`,
  );
  const dots = Array.from(
    { length: 6 + random.below(10) },
    () =>
      `<circle cx="${at()}" cy="${at()}" r="${random.uniform(0.005, 0.014).toFixed(4)}" fill="${
        grey(random, 175, 220)
      }"/>`,
  );
  return lines.join("") + dots.join("");
}

function grey(random: Random, low: number, high: number): string {
  const level = low + random.below(high - low + 1);
  return `rgb(${level},${level},${level})`;
}

function star(points: number, outer: number, inner: number): string {
  const corners = Array.from({ length: 2 * points }, (_, i) => {
    const radius = i % 2 ? inner : outer, angle = Math.PI * i / points;
    return `${(radius * Math.sin(angle)).toFixed(3)} ${(-radius * Math.cos(angle)).toFixed(3)}`;
  });
  return `M${corners.join("L")}Z`;
}
