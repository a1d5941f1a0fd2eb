// Exports one trace with the OpenTelemetry SDK for JavaScript and prints its id.
// Called by interop.rs: node send.mjs grpc|http/protobuf|http/json ENDPOINT
import { SpanKind, SpanStatusCode, context, trace } from "@opentelemetry/api";
import { OTLPTraceExporter as Grpc } from "@opentelemetry/exporter-trace-otlp-grpc";
import { OTLPTraceExporter as Json } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as Proto } from "@opentelemetry/exporter-trace-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";

const [protocol, endpoint] = process.argv.slice(2);
const exporters = {
  "grpc": () => new Grpc({ url: endpoint }),
  "http/protobuf": () => new Proto({ url: `${endpoint}/v1/traces` }),
  "http/json": () => new Json({ url: `${endpoint}/v1/traces` }),
};
const provider = new BasicTracerProvider({
  resource: resourceFromAttributes({ "service.name": "checkout", "service.namespace": "shop" }),
  spanProcessors: [new BatchSpanProcessor(exporters[protocol]())],
});
const tracer = provider.getTracer("interop", "1.2.3");

const root = tracer.startSpan("GET /cart", { kind: SpanKind.SERVER });
const inRoot = trace.setSpan(context.active(), root);
const child = tracer.startSpan("SELECT cart", {
  kind: SpanKind.CLIENT,
  attributes: { "text": "naïve ☃", "rows": 42, "ratio": 0.5, "cached": false, "ids": [1, 2, 3] },
  links: [{ context: root.spanContext(), attributes: { why: "test" } }],
}, inRoot);
child.recordException(new Error("no such cart"));
child.setStatus({ code: SpanStatusCode.ERROR, message: "no such cart" });
child.end();
root.end();

await provider.shutdown();
console.log(root.spanContext().traceId);
