import { expect, test } from "vitest";
import { withNetwork } from "../src/network";

const nothing = { proxy: "", noProxy: [], certificates: "" };

test("the editor's proxy and its exceptions reach every connection, not only pip's", () => {
  const variables = withNetwork({ PATH: "/bin" }, { ...nothing, proxy: "http://proxy:8080", noProxy: ["localhost", "*.contoso.com"] });

  expect(variables).toEqual({
    PATH: "/bin",
    PIP_PROXY: "http://proxy:8080",
    HTTPS_PROXY: "http://proxy:8080",
    HTTP_PROXY: "http://proxy:8080",
    NO_PROXY: "localhost,*.contoso.com",
  });
});

test("a proxy that the environment names stays, in either case", () => {
  const variables = withNetwork({ https_proxy: "http://own:1", NO_PROXY: "own" }, { ...nothing, proxy: "http://proxy:8080", noProxy: ["x"] });

  expect(variables["HTTPS_PROXY"]).toBeUndefined();
  expect(variables["HTTP_PROXY"]).toBe("http://proxy:8080");
  expect(variables["NO_PROXY"]).toBe("own");
});

test("the person's certificate authority is trusted by every connection", () => {
  const variables = withNetwork({}, { ...nothing, certificates: "/etc/contoso.pem" });

  expect(variables).toEqual({ PIP_CERT: "/etc/contoso.pem", REQUESTS_CA_BUNDLE: "/etc/contoso.pem" });
});

test("settings that say nothing change nothing", () => {
  expect(withNetwork({ PATH: "/bin" }, nothing)).toEqual({ PATH: "/bin" });
});
