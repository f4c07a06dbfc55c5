/** How this browser stands with a relay that asks for tokens. The token is kept in a cookie that no script can read. */
export interface Session {
  /** Whether the relay asks for a token at all. */
  required: boolean;
  /** Whether it has one of this browser that is good. */
  authorized: boolean;
}

/** Rejects if the relay cannot be reached. */
export async function fetchSession(base: URL): Promise<Session> {
  const answer = (await (await ask(base, "GET")).json()) as Partial<Session>;
  return { required: answer.required === true, authorized: answer.authorized === true };
}

/** Rejects with what the relay says if it does not take the token. */
export async function signIn(base: URL, token: string): Promise<void> {
  await ask(base, "POST", { Authorization: `Bearer ${token}` });
}

export async function signOut(base: URL): Promise<void> {
  await ask(base, "DELETE");
}

async function ask(base: URL, method: string, headers: Record<string, string> = {}): Promise<Response> {
  const answer = await fetch(new URL("api/v1/session", base), { method, headers });
  if (!answer.ok) throw new Error((await answer.text()).trim() || `the relay answered ${answer.status} ${answer.statusText}`);
  return answer;
}
