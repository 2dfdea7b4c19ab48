// What the editor knows of the network, as the variables that every program of the product's reads.

/** The settings; an empty one says nothing. `certificates` names a PEM file. */
export interface NetworkSettings {
  readonly proxy: string;
  readonly noProxy: readonly string[];
  readonly certificates: string;
}

type Variables = Readonly<Record<string, string | undefined>>;

/**
 * The variables with the editor's proxy and the person's certificate authority, for every connection of the server and
 * for every pip that runs. What the environment says itself stays.
 */
export function withNetwork(variables: Variables, settings: NetworkSettings): Record<string, string | undefined> {
  const { proxy, noProxy, certificates } = settings;
  return {
    ...variables,
    ...(proxy === "" ? {} : { PIP_PROXY: proxy, ...unlessGiven(variables, { HTTPS_PROXY: proxy, HTTP_PROXY: proxy }) }),
    ...(noProxy.length === 0 ? {} : unlessGiven(variables, { NO_PROXY: noProxy.join(",") })),
    ...(certificates === "" ? {} : { PIP_CERT: certificates, REQUESTS_CA_BUNDLE: certificates }),
  };
}

/** Those that the environment has in neither case. */
function unlessGiven(variables: Variables, wanted: Record<string, string>): Record<string, string> {
  const given = new Set(Object.keys(variables).filter((name) => variables[name]).map((name) => name.toUpperCase()));
  return Object.fromEntries(Object.entries(wanted).filter(([name]) => !given.has(name)));
}
