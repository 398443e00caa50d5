// Hands in messages over one pooled connection with nodemailer.
const nodemailer = require("nodemailer");

const [host, port, user, pass, count] = process.argv.slice(2);
const transport = nodemailer.createTransport({
  host, port: Number(port), requireTLS: true, pool: true, maxConnections: 1,
  auth: { user, pass },
});

async function main() {
  const all = [];
  for (let number = 0; number < Number(count); number += 1) {
    all.push(transport.sendMail({
      from: "a@client.example",
      to: `n${number}@sink.example`,
      subject: `Message ${number}`,
      text: "sent by nodemailer",
      html: "<p>sent by nodemailer</p>",
    }));
  }
  for (const sent of await Promise.all(all)) {
    if (!sent.response.startsWith("250 2.0.0")) throw new Error(sent.response);
  }
  transport.close();
}

main().catch((error) => { console.error(error); process.exitCode = 1; });
