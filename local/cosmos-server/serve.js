// Serves Cosmos DB on a free local port and prints the port.
//
//     node serve.js [CERTIFICATE KEY]     https with that certificate, else plain http
//
// Two things of the package are put right here. Its own command line closes the connection after
// every request. And it answers 500 to a point read of a document that is not there, where Cosmos
// DB answers 404: the handler reads a property of the missing document.
"use strict";
const fs = require("fs");
const library = "@vercel/cosmosdb-server/lib";

const reader = require(`${library}/handler/read-document`);
const { parsePartitionKey, default: partitionOf } = require(`${library}/utils/get-partition-from-header`);
const readExisting = reader.default;
reader.default = (account, req, res, params) => {
  const collection = account.database(params.dbId).collection(params.collId);
  if (collection.read() && !collection.document(params.docId, parsePartitionKey(partitionOf(req), params.docId)).read()) {
    res.statusCode = 404;
    return { code: "NotFound", message: "Entity with the specified id does not exist in the system." };
  }
  return readExisting(account, req, res, params);
};

const { createHttpServer, createHttpsServer } = require("@vercel/cosmosdb-server");
const [certificate, key] = process.argv.slice(2);
const server = certificate
  ? createHttpsServer({ keepAlive: true, cert: fs.readFileSync(certificate), key: fs.readFileSync(key) })
  : createHttpServer({ keepAlive: true });
server.keepAliveTimeout = 600000;
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
// The starter holds our standard input open; when it is gone, so are we.
process.stdin.on("end", () => process.exit(0)).resume();
