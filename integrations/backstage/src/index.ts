export { catalogModuleTideline as default } from './module';
export { PROVIDER_NAME } from './provider';
