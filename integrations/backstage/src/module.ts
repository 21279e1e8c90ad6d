import { coreServices, createBackendModule } from '@backstage/backend-plugin-api';
import { catalogProcessingExtensionPoint } from '@backstage/plugin-catalog-node';
import { TidelineClient } from './client';
import { TidelineEntityProvider } from './provider';
import { Reporter } from './reporter';

/** Makes Backstage's catalog follow the change feed of Tideline. */
export const catalogModuleTideline = createBackendModule({
  pluginId: 'catalog',
  moduleId: 'tideline',
  register(env) {
    env.registerInit({
      deps: {
        catalog: catalogProcessingExtensionPoint,
        config: coreServices.rootConfig,
        database: coreServices.database,
        lifecycle: coreServices.lifecycle,
        logger: coreServices.logger,
        scheduler: coreServices.scheduler,
      },
      async init({ catalog, config, database, lifecycle, logger, scheduler }) {
        const client = TidelineClient.fromConfig(config);
        const provider = new TidelineEntityProvider({ client, database, logger, scheduler, reporter: Reporter.fromConfig(config) });
        lifecycle.addShutdownHook(() => provider.stop());
        catalog.addEntityProvider(provider);
      },
    });
  },
});
