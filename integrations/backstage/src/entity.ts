import {
  ANNOTATION_LOCATION,
  ANNOTATION_ORIGIN_LOCATION,
  Entity,
  entityEnvelopeSchemaValidator,
} from '@backstage/catalog-model';

const isEnvelope = entityEnvelopeSchemaValidator();

/**
 * The entity of a body, with both managed-by annotations: the catalog refuses an entity without them. Those that the body has are
 * kept. Undefined if it is no entity of Backstage's; one of those would make the catalog refuse the whole mutation.
 */
export function entityOf(body: unknown, source: string, ref: string, url: string): Entity | undefined {
  let entity: Entity;
  try {
    entity = isEnvelope(body);
  } catch {
    return undefined;
  }
  const here = `url:${url}/v1/entities?${new URLSearchParams({ source, ref })}`;
  const given = entity.metadata.annotations ?? {};
  const location = given[ANNOTATION_LOCATION] ?? here;
  const annotations = {
    ...given,
    [ANNOTATION_LOCATION]: location,
    [ANNOTATION_ORIGIN_LOCATION]: given[ANNOTATION_ORIGIN_LOCATION] ?? location,
  };
  return { ...entity, metadata: { ...entity.metadata, annotations } };
}
