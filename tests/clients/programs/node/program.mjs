// ssh2-sftp-client. Prints `PASS name` or `FAIL name: why` for each check.
import { createHash } from "node:crypto";
import { createReadStream, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";

// the library lies in the cache beside what else is built
const Client = createRequire(process.env.SFTP_NODE_MODULES + "/")("ssh2-sftp-client");
const { SFTP_HOST, SFTP_PORT, SFTP_USER, SFTP_PASSWORD, SFTP_KEY, SFTP_KNOWN_HOSTS, SFTP_REMOTE, SFTP_LOCAL } = process.env;
const small = readFileSync(`${SFTP_LOCAL}/small`);
const large = readFileSync(`${SFTP_LOCAL}/large`);

async function check(name, work) {
  try {
    await work();
    console.log(`PASS ${name}`);
  } catch (error) {
    console.log(`FAIL ${name}: ${String(error?.message ?? error).replaceAll("\n", " ")}`);
  }
}

function equal(got, wanted) {
  const [seen, right] = [got, wanted].map((value) => JSON.stringify(value));
  if (seen !== right) throw new Error(`${seen?.slice(0, 300)} where ${right.slice(0, 300)} is right`);
}

const digest = (bytes) => createHash("sha256").update(bytes).digest("hex");

function complete(attributes) {
  for (const name of ["size", "mode", "uid", "gid", "accessTime", "modifyTime"]) {
    if (!Number.isFinite(attributes[name])) throw new Error(`${name} is ${attributes[name]}`);
  }
  if (attributes.modifyTime < 946684800000) throw new Error(`a time before 2000: ${attributes.modifyTime}`);
}

async function connected(login, work) {
  const client = new Client();
  await client.connect({
    host: SFTP_HOST,
    port: Number(SFTP_PORT),
    username: SFTP_USER,
    hostVerifier: (key) => readFileSync(SFTP_KNOWN_HOSTS, "utf8").includes(` ${key.toString("base64")}`),
    ...login,
  });
  try {
    await work(client);
  } finally {
    await client.end();
  }
}

const names = async (client, directory) => (await client.list(directory)).map((entry) => entry.name).sort();

await check("login-password", () => connected({ password: SFTP_PASSWORD }, (client) => client.list(SFTP_REMOTE)));
await check("login-key", () => connected({ privateKey: readFileSync(SFTP_KEY) }, rest));

async function rest(client) {
  const a = `${SFTP_REMOTE}/a`;
  await check("list", async () => {
    const entries = await client.list(SFTP_REMOTE);
    equal(entries.map((entry) => [entry.type, entry.name]).sort(), [["-", "seed.txt"], ["d", "seeded"]]);
    for (const entry of entries) complete({ ...entry, mode: 0, uid: entry.owner, gid: entry.group });
  });
  await check("stat-file", async () => {
    const attributes = await client.stat(`${SFTP_REMOTE}/seed.txt`);
    equal([attributes.size, attributes.isFile], [4, true]);
    complete(attributes);
  });
  await check("stat-directory", async () => {
    const attributes = await client.stat(`${SFTP_REMOTE}/seeded`);
    equal(attributes.isDirectory, true);
    complete(attributes);
  });
  await check("mkdir-nested", async () => {
    await client.mkdir(`${a}/b/c`, true);
    equal(await client.exists(`${a}/b`), "d");
  });
  await check("put-small", () => client.put(`${SFTP_LOCAL}/small`, `${a}/small`));
  await check("put-large", () => client.fastPut(`${SFTP_LOCAL}/large`, `${a}/b/c/large`));
  await check("put-stream", async () => {
    await client.put(createReadStream(`${SFTP_LOCAL}/large`), `${a}/streamed`);
    equal(digest(await client.get(`${a}/streamed`)), digest(large));
    await client.delete(`${a}/streamed`);
  });
  await check("get-small", async () => equal(digest(await client.get(`${a}/small`)), digest(small)));
  await check("get-large", async () => {
    await client.fastGet(`${a}/b/c/large`, `${SFTP_LOCAL}/got`);
    equal(digest(readFileSync(`${SFTP_LOCAL}/got`)), digest(large));
  });
  await check("append", async () => {
    await client.append(Buffer.from("more"), `${a}/small`);
    equal(digest(await client.get(`${a}/small`)), digest(Buffer.concat([small, Buffer.from("more")])));
  });
  await check("rename", async () => {
    await client.rename(`${a}/small`, `${a}/renamed`);
    equal([await client.exists(`${a}/small`), await client.exists(`${a}/renamed`)], [false, "-"]);
  });
  await check("rename-overwrite", async () => {
    await client.put(small, `${a}/new`);
    await client.posixRename(`${a}/new`, `${a}/renamed`);
    equal(digest(await client.get(`${a}/renamed`)), digest(small));
  });
  await check("copy", async () => {
    await client.rcopy(`${a}/renamed`, `${a}/copied`);
    equal(digest(await client.get(`${a}/copied`)), digest(small));
    await client.delete(`${a}/copied`);
  });
  await check("tree", async () => {
    await client.downloadDir(SFTP_REMOTE, `${SFTP_LOCAL}/tree`);
    equal(readFileSync(`${SFTP_LOCAL}/tree/seeded/inner.txt`, "utf8"), "inner");
    equal(digest(readFileSync(`${SFTP_LOCAL}/tree/a/b/c/large`)), digest(large));
    writeFileSync(`${SFTP_LOCAL}/tree/seeded/more.txt`, "more");
    await client.uploadDir(`${SFTP_LOCAL}/tree/seeded`, `${a}/uploaded`);
    equal(await names(client, `${a}/uploaded`), ["inner.txt", "more.txt"]);
  });
  await check("missing", async () => {
    equal(await client.exists(`${SFTP_REMOTE}/missing`), false);
    const error = await client.stat(`${SFTP_REMOTE}/missing`).then(() => ({ code: "it is there" }), (error) => error);
    equal(error.code, "ENOENT");
  });
  await check("remove", async () => {
    await client.delete(`${a}/renamed`);
    equal(await names(client, a), ["b", "uploaded"]);
  });
  await check("rmdir", async () => {
    await client.rename(`${a}/b/c/large`, `${SFTP_REMOTE}/kept`);
    await client.rmdir(a, true);
    equal(await names(client, SFTP_REMOTE), ["kept", "seed.txt", "seeded"]);
  });
}
