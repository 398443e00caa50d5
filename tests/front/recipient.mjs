// A recipient with Chromium: opens a mail's HTML, follows its link, then unsubscribes by the page.
//   node recipient.mjs CHROMIUM NODE_MODULES MAIL.html SCREENSHOT.png UNSUBSCRIBE_URL
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [chromium, modules, mail, shot, unsubscribe] = process.argv.slice(2);
const { chromium: driver } = createRequire(`${modules}/`)('playwright-core');
const browser = await driver.launch({
	executablePath: chromium,
	args: [
		'--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
		'--disable-background-networking', '--disable-component-update', '--disable-sync',
	],
});
try {
	const page = await browser.newPage({ userAgent: 'Mozilla/5.0 (X11; Linux x86_64) Gecko Firefox' });
	await page.goto(pathToFileURL(mail).href, { waitUntil: 'networkidle' });
	const [landed] = await Promise.all([
		page.waitForResponse((response) => response.url().includes('style.css?from=mail')),
		page.click('#link'),
	]);
	console.log('landed', landed.url().split('/').pop());
	await page.goto(unsubscribe);
	console.log('title', await page.title());
	await page.screenshot({ path: shot });
	await page.click('button');
	console.log('after', await page.textContent('h1'));
} finally {
	await browser.close();
}
