import { createBackend } from '@backstage/backend-defaults';

// A backend with nothing but the catalog and this module: `npm start -- --config app-config.yaml`.
const backend = createBackend();
backend.add(import('@backstage/plugin-catalog-backend'));
backend.add(import('../src'));
void backend.start();
