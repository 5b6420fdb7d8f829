import { defineConfig, env } from 'portcullis';
import { orderUpkeep } from './jobs/order-upkeep/index.js';

export default defineConfig({
  jobs: [orderUpkeep],
  databases: { shop: { url: env('PORTCULLIS_DATABASE_URL_SHOP') } },
});
