// Asks for flags as a web page does, and hears of changes: `node web.mjs ADDRESS KEY CHANGES`.
// Prints a line when it is ready, and one for each change it was told of.
import { OpenFeature, ProviderEvents } from '@openfeature/web-sdk';
import { OFREPWebProvider } from '@openfeature/ofrep-web-provider';

const [baseUrl, key, changes] = process.argv.slice(2);
const headers = [['Authorization', `Bearer ${key}`]];
const provider = new OFREPWebProvider({ baseUrl, headers, cacheMode: 'disabled' });
const client = OpenFeature.getClient();
const say = (what) =>
  console.log(JSON.stringify({ what, at: Date.now(), ...client.getStringDetails('web-flag', 'default') }));

let left = Number(changes);
await OpenFeature.setContext({ targetingKey: 'ada' });
client.addHandler(ProviderEvents.ConfigurationChanged, (event) => {
  if (!event.flagsChanged.includes('web-flag')) return;
  say('changed');
  left -= 1;
  if (left <= 0) OpenFeature.close().then(() => process.exit(0));
});
await OpenFeature.setProviderAndWait(provider);
say('ready');
