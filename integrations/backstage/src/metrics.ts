import { metrics } from '@opentelemetry/api';

const meter = metrics.getMeter('default');

/** What this module tells, beside its log. */
export const telemetry = {
  lag: meter.createGauge('tideline.backstage.lag', {
    unit: 's',
    description: 'Age of the newest change that the catalog was given, while older than the end of the feed; 0 at its end',
  }),
  changes: meter.createCounter('tideline.backstage.changes', {
    description: 'Entities given to the catalog, removed from it, or left out as malformed',
  }),
  conflicts: meter.createGauge('tideline.backstage.conflicts', {
    description: 'Entities of Tideline that another provider of the catalog has',
  }),
  fullSyncs: meter.createCounter('tideline.backstage.full_syncs', {
    description: 'Readings from the beginning of the feed, by why',
  }),
};
