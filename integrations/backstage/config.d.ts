export interface Config {
  /** Where the catalog comes from. */
  tideline: {
    /** Base URL of Tideline's gateway, without `/v1`: `https://tideline.example.com`. */
    url: string;
    /**
     * An API token of role `read`: `tideline tokens create backstage --role read`. It can be left out only where Tideline runs on the
     * same machine without any token.
     * @visibility secret
     */
    token?: string;
    /** Where conflicts are reported to: a hook of Tideline with `provider: standard`. */
    reports?: {
      /** Name of the hook. */
      hook: string;
      /**
       * The secret of the hook.
       * @visibility secret
       */
      secret: string;
    };
  };
}
