/** Graphs, node by node: values by name, operators from the table, functions of the model run as graphs of their own. */
import { Call, type Operators, type Results } from "./call.ts";
import { typeOf, valueOf } from "./decode.ts";
import type { AttributeMessage, FunctionMessage, GraphMessage, ModelMessage, NodeMessage } from "./schema.ts";
import { NotExpressible } from "./types.ts";
import { roundToBfloat16, Value } from "./value.ts";

/** What a node sees: the names of its graph, and those of the graphs around it. */
class Scope {
  readonly #values = new Map<string, Value | undefined>();
  constructor(readonly outer?: Scope) {}

  get(name: string): Value | undefined {
    if (this.#values.has(name)) return this.#values.get(name);
    if (this.outer) return this.outer.get(name);
    throw new Error(`Cannot find the value ${name}: no node before makes it`);
  }

  set(name: string, value: Value | undefined): void {
    if (name) this.#values.set(name, value);
  }
}

/** Runs models with a table of operators. */
export class Runner {
  readonly #functions: ReadonlyMap<string, FunctionMessage>;

  constructor(readonly operators: Operators, readonly model: ModelMessage) {
    this.#functions = new Map(model.functions.map((f) => [fullName(f.name, f.domain), f]));
  }

  /** The results of the model's graph. */
  run(inputs: readonly Value[]): Promise<Value[]> {
    return this.#graph(this.model.graph, inputs, new Scope());
  }

  async #graph(graph: GraphMessage, inputs: readonly Value[], scope: Scope): Promise<Value[]> {
    for (const t of graph.initializer) scope.set(t.name!, valueOf(t));
    graph.input.forEach(({ name }, i) => inputs[i] && scope.set(name, inputs[i]));
    await this.#nodes(graph.node, scope);
    return graph.output.map(({ name }) => given(scope.get(name), name));
  }

  async #nodes(
    nodes: readonly NodeMessage[],
    scope: Scope,
    attributes?: ReadonlyMap<string, AttributeMessage>,
  ): Promise<void> {
    for (const node of nodes) {
      const results = [await this.#node(node, scope, attributes)].flat() as (Value | undefined)[];
      for (const [i, name] of node.output.entries()) scope.set(name, results[i] && await rounded(results[i]));
    }
  }

  async #node(node: NodeMessage, scope: Scope, outer?: ReadonlyMap<string, AttributeMessage>): Promise<Results> {
    const name = fullName(node.opType, node.domain);
    const inputs = node.input.map((input) => input ? scope.get(input) : undefined);
    const attributes = outer ? resolved(node.attribute, outer) : node.attribute;
    const own = this.#functions.get(name);
    if (own) return await this.#function(own, inputs, attributes);
    const operator = this.operators[name];
    if (!operator) throw new NotExpressible(`no operator ${name}`);
    const run = (graph: GraphMessage, values: readonly Value[]) => this.#graph(graph, values, new Scope(scope));
    return await operator(new Call(name, inputs, attributes, this.#opset(node), node.output.map((o) => o !== ""), run));
  }

  #opset({ domain = "" }: NodeMessage): number {
    return this.model.opsetImport.find((o) => own(o.domain) === own(domain))?.version ?? 1;
  }

  async #function(
    f: FunctionMessage,
    inputs: readonly (Value | undefined)[],
    given: readonly AttributeMessage[],
  ): Promise<Results> {
    const scope = new Scope(), attributes = new Map([...f.attributeProto, ...given].map((a) => [a.name, a]));
    f.input.forEach((name, i) => scope.set(name, inputs[i]));
    await this.#nodes(f.node, scope, attributes);
    return f.output.map((name) => scope.get(name));
  }
}

/** Attributes of a node of a function, with those that it takes from the function's own. */
function resolved(
  attributes: readonly AttributeMessage[],
  outer: ReadonlyMap<string, AttributeMessage>,
): AttributeMessage[] {
  return attributes.flatMap((a) => {
    if (!a.refAttrName) return [a];
    const value = outer.get(a.refAttrName);
    return value ? [{ ...value, name: a.name }] : [];
  });
}

const own = (domain = ""): string => domain === "ai.onnx" ? "" : domain;

function fullName(name: string, domain?: string): string {
  return own(domain) ? `${domain}.${name}` : name;
}

function given(value: Value | undefined, name: string): Value {
  if (!value) throw new Error(`Cannot find the result ${name}: its operator does not give it`);
  return value;
}

/** WGSL has no bfloat16: such results are rounded on the host. */
async function rounded(value: Value): Promise<Value> {
  if (value.type !== "bfloat16") return value;
  return Value.of("bfloat16", value.shape, Array.from(await value.numbers(), roundToBfloat16));
}

/**
 * Refuses a model whose inputs or results are no tensors of types that are represented.
 *
 * @throws {NotExpressible} with the reason.
 */
export function checkTypes({ graph }: ModelMessage): void {
  for (const { type } of [...graph.input, ...graph.output]) {
    if (!type?.tensorType) throw new NotExpressible("sequences and optional values");
    const element = typeOf(type.tensorType.elemType);
    if (element === "string") throw new NotExpressible("strings");
    if (element.startsWith("complex")) throw new NotExpressible(`elements of type ${element}`);
  }
}
