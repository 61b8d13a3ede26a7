// Checks the objects of other APIs than Kubernetes' own: cert-manager, the Prometheus operator and
// the Gateway API.
//   node crds.mjs OBJECTS.json
// Twice: by the schema of their definitions, which knows what is required and the allowed values,
// and by TypeScript, which also knows the names of all members. Then it breaks each object on
// purpose, and fails if that is not found.

import { readFileSync } from "node:fs";
import ts from "typescript";

const PACKAGES = {
  "cert-manager.io/v1": "@kubernetes-models/cert-manager",
  "gateway.networking.k8s.io/v1": "@kubernetes-models/gateway-api",
  "monitoring.coreos.com/v1": "@kubernetes-models/prometheus-operator",
};
// For each kind: a change, and whether the schema or the types must find it.
const PROOFS = [
  ["Certificate", "schema", (it) => delete it.spec.secretName],
  ["Certificate", "schema", (it) => (it.spec.privateKey.algorithm = "DSA")],
  ["Certificate", "types", (it) => (it.spec.renewBeforee = "720h")],
  ["HTTPRoute", "schema", (it) => (it.spec.rules[0].matches[0].path.type = "Equal")],
  ["HTTPRoute", "schema", (it) => (it.spec.rules[0].timeouts.request = "five minutes")],
  ["HTTPRoute", "types", (it) => (it.spec.rules[0].timeout = "300s")],
  ["PodMonitor", "schema", (it) => delete it.spec.selector],
  ["PodMonitor", "schema", (it) => (it.spec.podMetricsEndpoints[0].interval = "often")],
  ["PodMonitor", "types", (it) => (it.spec.podMetricsEndpoints[0].portName = "admin")],
  ["PrometheusRule", "schema", (it) => delete it.spec.groups[0].rules[0].expr],
  ["PrometheusRule", "types", (it) => (it.spec.groups[0].rules[0].severity = "critical")],
];

/** The module of an object's model. */
function moduleOf(object) {
  return `${PACKAGES[object.apiVersion]}/${object.apiVersion}/${object.kind}`;
}

/** What the schema says against an object, or null. */
async function schemaFault(object) {
  const { [object.kind]: Model } = await import(moduleOf(object));
  try {
    new Model(object).validate();
    return null;
  } catch (error) {
    return error.message;
  }
}

/** What TypeScript says against each of these objects, or null. One program for all: it is quicker. */
function typesFaults(objects) {
  // Beside the packages, so that they are found.
  const name = (number) => new URL(`object${number}.ts`, import.meta.url).pathname;
  const texts = new Map(
    objects.map((object, number) => [
      name(number),
      `import type { I${object.kind} } from "${moduleOf(object)}";
export const it: I${object.kind} = ${JSON.stringify(object)};
`,
    ]),
  );
  const options = {
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    types: [],
  };
  const host = ts.createCompilerHost(options);
  const { fileExists, readFile, getSourceFile } = host;
  host.fileExists = (file) => texts.has(file) || fileExists(file);
  host.readFile = (file) => texts.get(file) ?? readFile(file);
  host.getSourceFile = (file, version, ...rest) =>
    texts.has(file)
      ? ts.createSourceFile(file, texts.get(file), version)
      : getSourceFile(file, version, ...rest);
  const program = ts.createProgram([...texts.keys()], options, host);
  return [...texts.keys()].map((file) => {
    const [first] = ts.getPreEmitDiagnostics(program, program.getSourceFile(file));
    return first ? ts.flattenDiagnosticMessageText(first.messageText, " ") : null;
  });
}

const objects = JSON.parse(readFileSync(process.argv[2], "utf8"));
const broken = PROOFS.map(([kind, , change]) => {
  const object = structuredClone(objects.find((it) => it.kind === kind));
  change(object);
  return object;
});
const byTypes = typesFaults([...objects, ...broken]);
let failed = 0;
for (const [number, object] of objects.entries()) {
  for (const fault of [await schemaFault(object), byTypes[number]]) {
    if (fault) {
      failed += 1;
      console.log(`FAIL  ${object.kind} ${object.metadata.name}: ${fault}`);
    }
  }
}
for (const [number, [, by, change]] of PROOFS.entries()) {
  const object = broken[number];
  const fault = by === "schema" ? await schemaFault(object) : byTypes[objects.length + number];
  if (!fault) {
    failed += 1;
    console.log(`FAIL  not found by ${by}: ${change}`);
  }
}
console.log(`${objects.length} objects of other APIs, ${PROOFS.length} faults planted`);
process.exit(failed || objects.length < 3 ? 1 : 0);
