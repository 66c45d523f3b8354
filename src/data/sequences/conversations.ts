/**
 * Conversations about images.
 *
 * @module
 */
import { isRecord, openRows, show } from "../json_items.ts";
import { ImagePaths } from "../image_paths.ts";
import { takeItems } from "../read_items.ts";
import { type Fields, fieldsOf, type TaskFiles, unexpected } from "../task_files.ts";
import { imageFile, type Segment, type SequenceOptions, toSequence } from "./sequence.ts";
import { listedSource, ShuffledSource, type SourceOptions } from "./source.ts";

/** Marks where an image stands in what a person says. */
const MARK = "<image>";

/** One turn of a conversation. */
export interface Turn {
  /** Who says it: a person, or the model, whose words are learned. */
  readonly from: "human" | "gpt";
  /** What is said; in a person's words `<image>` stands for the next of the images. */
  readonly value: string;
}

/** A conversation and its images, in the order of their marks. */
export interface Conversation {
  /** Paths. */
  readonly images: readonly string[];
  /** What is said. */
  readonly turns: readonly Turn[];
}

/** What stands before and after a person's words, before those of the model. */
export interface ConversationTemplate {
  /** Stands before a person's words. @default "Question: " */
  readonly before: string;
  /** Stands behind them; the model's words follow after a space. @default "\nAnswer:" */
  readonly after: string;
}

const usual: ConversationTemplate = { before: "Question: ", after: "\nAnswer:" };

/** Options of {@linkcode conversationSource}. */
export interface ConversationSourceOptions extends SourceOptions, SequenceOptions {
  /** For messages and counts. @default "conversations" */
  readonly name?: string;
  /** How turns are told apart. @default questions and answers */
  readonly template?: ConversationTemplate;
}

/**
 * Conversations of LLaVA's JSON: a list (or lines) of objects with `conversations`, a list of `{ from: "human" | "gpt", value }`, and
 * with `image`, a path or a list of paths, where there are images. Only the words of "gpt" are learned, and the token that ends them.
 *
 * @throws {SyntaxError} If a file is broken: the message names file, entry, field and what is expected. Thrown while documents are taken.
 */
export function conversationSource(
  files: TaskFiles | readonly Conversation[],
  options: ConversationSourceOptions,
): ShuffledSource<Conversation> {
  const { name = "conversations", template } = options;
  const encode = (c: Conversation) => toSequence(conversationSegments(c, template), options);
  if (isList(files)) return listedSource(name, files, encode, options);
  const paths = new ImagePaths(files);
  const read = () => takeItems(files, openRows, (row) => toConversation(fieldsOf(row), paths));
  return new ShuffledSource(name, read, encode, options);
}

/** A conversation as a model sees it; one that ends with a person's words is to be answered. */
export function conversationSegments(
  { images, turns }: Conversation,
  { before, after }: ConversationTemplate = usual,
): Segment[] {
  let next = 0;
  return turns.flatMap(({ from, value }, i): Segment[] => {
    if (from === "gpt") return [{ text: ` ${value}` }, "end"];
    const parts = value.split(MARK), said = (text: string): Segment[] => text ? [{ text, learned: false }] : [];
    const pictures = parts.slice(1).flatMap((
      text,
    ): Segment[] => [{ image: imageFile(images[next++]!) }, ...said(text)]);
    const break_ = i > 0 ? "\n" : "";
    return [...said(break_ + before + parts[0]), ...pictures, { text: after, learned: false }];
  });
}

function isList(files: TaskFiles | readonly Conversation[]): files is readonly Conversation[] {
  return Array.isArray(files);
}

function toConversation(fields: Fields, known: ImagePaths): Conversation {
  const { image, conversations } = fields, paths = image === undefined ? [] : Array.isArray(image) ? image : [image];
  if (!paths.every((path) => typeof path === "string" && path)) {
    throw unexpected(fields, "image", "a path, a list of paths or nothing");
  }
  if (!Array.isArray(conversations) || !conversations.length) {
    throw unexpected(fields, "conversations", "a list of turns");
  }
  const turns = conversations.map(toTurn);
  const marks = turns.reduce((sum, { from, value }) => sum + (from === "human" ? value.split(MARK).length - 1 : 0), 0);
  if (marks !== paths.length) {
    throw new SyntaxError(
      `has ${marks} times "${MARK}" in its "conversations"; its ${paths.length} images are expected`,
    );
  }
  return { images: paths.map((path) => known.at(known.add(path))), turns };
}

function toTurn(turn: unknown, i: number): Turn {
  if (isRecord(turn) && (turn.from === "human" || turn.from === "gpt") && typeof turn.value === "string") {
    return { from: turn.from, value: turn.value };
  }
  throw new SyntaxError(
    `has ${show(turn)} as turn ${i} of "conversations"; "from" ("human" or "gpt") and a string as "value" are expected`,
  );
}
