/**
 * Paths of images as files of data have them, each way of writing a path once, and none that leaves the folder of the images.
 *
 * @module
 */
import { StringTable } from "./string_table.ts";

/** Where images are. */
export interface ImageFolder {
  /** Folder that relative image paths start from. @default the working directory */
  readonly images?: string | undefined;
  /** Take images outside of the folder too, where one is given: absolute paths, or "../". @default false */
  readonly outside?: boolean | undefined;
}

/** Paths by number, from 0 in the order in which they come. */
export class ImagePaths {
  readonly #paths = new StringTable();
  readonly #folder: string;
  readonly #outside: boolean;
  #whole: string | undefined;

  /** None yet. */
  constructor({ images = "", outside = false }: ImageFolder) {
    this.#folder = images;
    this.#outside = outside || images === "";
  }

  /** How many there are. */
  get length(): number {
    return this.#paths.length;
  }

  /**
   * The number of a path; "a.png", "./a.png" and "b/../a.png" have the same.
   *
   * @throws {SyntaxError} If it leaves the folder, or is none; the message follows an entry's name.
   */
  add(path: string): number {
    if (path.includes("\0")) throw new SyntaxError(`has a character of zero in the path ${JSON.stringify(path)}`);
    const plain = this.#relative(normal(path));
    if (!this.#outside && leaves(plain)) {
      throw new SyntaxError(
        `has ${JSON.stringify(path)} as image, which is outside of the folder "${this.#folder}"; ` +
          "a path within is expected, unless images outside are allowed (--outside)",
      );
    }
    return this.#paths.add(plain);
  }

  /** A path, in the folder if it is relative. */
  at(index: number): string {
    return inFolder(this.#folder, this.#paths.at(index));
  }

  /** An absolute path within the folder as one that is relative to it. */
  #relative(path: string): string {
    if (this.#folder === "" || !isAbsolute(path)) return path;
    const folder = isAbsolute(this.#folder) ? this.#folder : inFolder(Deno.cwd(), this.#folder);
    const whole = this.#whole ??= `${normal(folder).replace(/\/+$/, "")}/`;
    return path.startsWith(whole) ? path.slice(whole.length) : path;
  }
}

/** A path that may be relative to a folder. */
export function inFolder(folder: string, path: string): string {
  return folder === "" || isAbsolute(path) ? path : `${folder.replace(/[/\\]+$/, "")}/${path}`;
}

function isAbsolute(path: string): boolean {
  return /^([/\\]|[A-Za-z]:[/\\])/.test(path);
}

/** Without "." and "name/..", and with single slashes; names of links are taken as those of folders. */
function normal(path: string): string {
  if (!/(^|\/)(\.{0,2}\/|\.{1,2}$)/.test(path.replace(/^\/(?!\/)/, ""))) return path;
  const root = /^\/*/.exec(path)![0], parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "" || part === ".") continue;
    if (part === ".." && parts.length && parts.at(-1) !== "..") parts.pop();
    else if (part !== ".." || root === "") parts.push(part);
  }
  return (root && "/") + parts.join("/");
}

/** Windows has a second separator, and drives. */
function leaves(path: string): boolean {
  return isAbsolute(path) || /^[A-Za-z]:/.test(path) || /(^|[/\\])\.\.([/\\]|$)/.test(path);
}
