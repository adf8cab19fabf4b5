// Submits one record and follows it until every addressee has decided, over mTLS.
//
// usage: node client.js PARTNER_FOLDER RECORD.json [SECONDS]
//
// PARTNER_FOLDER is all that it knows of the gateway:
//   address          host:port of the node's agency port
//   ca.pem           roots of the node's server certificate
//   cert.pem         our certificate chain, leaf first
//   key.pem          our private key, PKCS#8
//   exchange.binpb   descriptor set of the schema, imports included
//
// It prints one JSON object per line: {"submitted": …}, {"submission": …} for each change, {"receipt": …} at the end.
// Exit status: 0 decided, 1 refused, 3 not decided in time.

import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import grpc from "@grpc/grpc-js";
import { loadFileDescriptorSetFromBuffer } from "@grpc/proto-loader";

const DECIDED = ["RECOGNISED", "CONDITIONAL", "DEFERRED", "NOT_RECOGNISED"].map((word) => `SUBMISSION_STATE_${word}`);
const CALL_MS = 10_000; // one call on a busy node takes a tenth of it
const PAUSE_MS = 200; // before the same call again, when no answer came

const [folder, recordFile, seconds = "60"] = process.argv.slice(2);
const deadline = Date.now() + Number(seconds) * 1000;
const read = (name) => readFileSync(join(folder, name));

const schema = grpc.loadPackageDefinition(
  loadFileDescriptorSetFromBuffer(read("exchange.binpb"), {
    keepCase: true,
    enums: String,
    longs: String,
    bytes: String, // base64
    defaults: true,
    oneofs: true,
  }),
).exchange.v1;
const client = new schema.SubmissionService(
  read("address").toString().trim(),
  grpc.credentials.createSsl(read("ca.pem"), read("key.pem"), read("cert.pem")),
);

const say = (line) => console.log(JSON.stringify(line));

function leave(status) {
  client.close();
  process.exit(status);
}

function unary(method, request) {
  return new Promise((resolve, reject) => {
    const options = { deadline: Math.min(deadline, Date.now() + CALL_MS) };
    client[method](request, options, (error, answer) => (error ? reject(error) : resolve(answer)));
  });
}

function unanswered(error) {
  return [grpc.status.UNAVAILABLE, grpc.status.DEADLINE_EXCEEDED].includes(error.code) && Date.now() < deadline;
}

// The one rule that a partner has to know: after a lost answer, the same call again, with the same key.
async function persistently(method, request) {
  for (;;) {
    try {
      return await unary(method, request);
    } catch (error) {
      if (!unanswered(error)) throw error;
      await pause(PAUSE_MS);
    }
  }
}

// What happened to our record, from the cursor of the last message on; a cut stream is resumed there.
async function* changes(recordId) {
  let cursor = "";
  while (Date.now() < deadline) {
    const stream = client.WatchSubmissions({ cursor, from_start: cursor === "" }, { deadline });
    try {
      for await (const message of stream) {
        if (message.submission?.record_id === recordId) yield message.submission;
        cursor = message.cursor || cursor;
      }
    } catch (error) {
      if (!unanswered(error)) throw error;
    } finally {
      stream.cancel();
    }
    await pause(PAUSE_MS);
  }
}

async function main() {
  const submission = { idempotency_key: randomUUID(), record: JSON.parse(readFileSync(recordFile)) };
  const first = await persistently("SubmitRecord", { submission });
  say({ submitted: first.submitted });

  const again = await persistently("SubmitRecord", { submission });
  if (again.submitted.record_id !== first.submitted.record_id) throw new Error("the same call gave another record");

  for await (const now of changes(first.submitted.record_id)) {
    say({ submission: now });
    if (now.addressees.length > 0 && now.addressees.every(({ state }) => DECIDED.includes(state))) {
      const { addressee } = now.addressees[0];
      say({ receipt: (await persistently("GetReceipt", { record_id: now.record_id, addressee })).receipt });
      return 0;
    }
  }
  return 3;
}

main().then(leave, (error) => {
  say({ error: { code: grpc.status[error.code] ?? error.name, message: error.details ?? error.message } });
  leave(error.code === grpc.status.DEADLINE_EXCEEDED || error.code === grpc.status.UNAVAILABLE ? 3 : 1);
});
