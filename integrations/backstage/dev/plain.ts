import { createBackend } from '@backstage/backend-defaults';

// A backend with nothing but the catalog: for what Backstage reads without this module.
const backend = createBackend();
backend.add(import('@backstage/plugin-catalog-backend'));
void backend.start();
