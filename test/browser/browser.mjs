// A headless browser that does what it is told: a line of JSON in, a line of JSON out. page_test.go tells it.
//   browser.mjs WEB-FOLDER CHROMIUM
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { readFileSync } from "node:fs";

const require = createRequire(`${process.argv[2]}/package.json`);
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const browser = await chromium.launch({ executablePath: process.argv[3], args: ["--no-sandbox", "--disable-dev-shm-usage"] });
let context, page;
let said = [];
let asked = [];
const dialogs = [];

const verbs = {
  /** open begins with a new context, so that nothing is left of the one before. */
  async open({ url, scheme = "light", width = 1440, height = 900 }) {
    await context?.close();
    context = await browser.newContext({ colorScheme: scheme, viewport: { width, height } });
    page = await context.newPage();
    page.on("console", (m) => said.push(`${m.type()}: ${m.text()}`));
    page.on("pageerror", (e) => said.push(`error: ${e.message}`));
    page.on("request", (r) => asked.push(r.url()));
    page.on("dialog", (d) => { dialogs.push(d.message()); d.dismiss(); });
    await page.goto(url);
  },
  async go({ hash }) { await page.evaluate((h) => { location.hash = h; }, hash); },
  async resize({ width, height = 900 }) { await page.setViewportSize({ width, height }); },
  async click({ role, name, exact = false }) { await page.getByRole(role, { name, exact }).first().click(); },
  async press({ key }) { await page.keyboard.press(key); },
  async focus({ selector }) { await page.locator(selector).first().focus(); },
  async fill({ label, text }) { await page.getByLabel(label).fill(text); },
  /** wait waits until an element that is seen has a text, and says when that was, in milliseconds since 1970. */
  async wait({ selector, text, ms }) {
    await page.locator(selector, { hasText: text }).first().waitFor({ state: "visible", timeout: ms });
    return Date.now();
  },
  async texts({ selector }) { return page.locator(selector).allInnerTexts(); },
  async count({ selector }) { return page.locator(selector).count(); },
  async active() { return page.evaluate(() => document.activeElement?.outerHTML.slice(0, 200) ?? ""); },
  async attribute({ selector, name }) { return page.locator(selector).first().getAttribute(name); },
  async wide() { return page.evaluate(() => document.documentElement.scrollWidth - innerWidth); },
  async shot({ file, full = false }) { await page.screenshot({ path: file, fullPage: full }); },
  async axe() {
    await page.evaluate(axe); // by the debugger, which the page's policy does not bind
    return page.evaluate(async () => (await window.axe.run(document)).violations.flatMap((v) => v.nodes.map((n) => `${v.id}: ${n.html.slice(0, 160)}`)));
  },
  /** frames are how long the page took to draw, in milliseconds, the longest last. */
  async frames() { return page.evaluate(() => performance.getEntriesByName("draw", "measure").map((m) => m.duration).sort((a, b) => a - b)); },
  async told() { const out = { said, asked, dialogs }; said = []; asked = []; return out; },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { verb, ...args } = JSON.parse(line);
  let answer;
  try {
    answer = { value: (await verbs[verb](args)) ?? null };
  } catch (e) {
    answer = { error: String(e.message ?? e) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await browser.close();
