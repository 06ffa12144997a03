// Asks for flags as a Node server does: `node server.mjs ADDRESS KEY`; prints what it got.
import { OpenFeature } from '@openfeature/server-sdk';
import { OFREPProvider } from '@openfeature/ofrep-provider';

const [baseUrl, key] = process.argv.slice(2);
const headers = [['Authorization', `Bearer ${key}`]];
await OpenFeature.setProviderAndWait(new OFREPProvider({ baseUrl, headers }));
const client = OpenFeature.getClient();
const ada = { targetingKey: 'ada', plan: 'pro' };
const details = {
  text: await client.getStringDetails('npm-text', 'default', ada),
  whole: await client.getNumberDetails('npm-number', 0, ada),
  truth: await client.getBooleanDetails('npm-truth', false, ada),
  object: await client.getObjectDetails('npm-object', {}, ada),
  targeted: await client.getStringDetails('npm-targeted', 'default', ada),
  missing: await client.getStringDetails('npm-missing', 'default', ada),
};
console.log(JSON.stringify(details));
await OpenFeature.close();
