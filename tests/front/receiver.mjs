// A receiver of webhooks that verifies them with the package of Standard Webhooks.
//   node receiver.mjs NODE_MODULES FOLDER
// FOLDER/secrets holds the secrets, one a line; FOLDER/status the status to answer with. Each
// request becomes a line of FOLDER/got: status, id, and for each secret whether it verifies.
import { appendFileSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';

const [modules, folder] = process.argv.slice(2);
const { Webhook } = createRequire(`${modules}/`)('standardwebhooks');
const read = (name) => readFileSync(`${folder}/${name}`, 'utf8').trim();

const server = createServer((request, response) => {
	const parts = [];
	request.on('data', (part) => parts.push(part));
	request.on('end', () => {
		const body = Buffer.concat(parts).toString();
		const verified = read('secrets').split('\n').map((secret) => {
			try {
				return new Webhook(secret).verify(body, request.headers).type;
			} catch (error) {
				return 'wrong';
			}
		});
		const status = Number(read('status'));
		const id = request.headers['webhook-id'];
		appendFileSync(`${folder}/got`, `${status} ${id} ${verified.join(' ')}\n`);
		response.writeHead(status).end();
	});
});
server.listen(0, '127.0.0.1', () => {
	appendFileSync(`${folder}/port`, `${server.address().port}\n`);
});
