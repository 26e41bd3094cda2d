// Package kitlogin logs the users of a kit tenant in: OAuth 2.0 with an authorization code against the tenant's auth centre, on
// golang.org/x/oauth2.
//
// # The picture
//
//	browser            ISV                                     elsewhere
//	GET /login    ->   LoginHandler: sets the state cookie
//	                   302 to LoginURL                    ->   login page of the marketplace: the user logs in
//	GET /callback <-   ?code=…&tenant=…                   <-   302 to the registered address
//	                   CallbackHandler: checks the cookie,
//	                   asks Tenants about the tenant
//	                   Exchange: POST {domainName}/api/v1/oauth2/token
//	                   UserInfo: GET {domainName}/api/v1/oauth2/userinfo
//	                   onLogin(w, r, user, token): the ISV's own session begins
//
// Where the auth centre is and which client id and secret it wants come with the calls tenantSync and applicationSync; the ISV stores
// them and answers [Tenants]. Tokens are not stored here either.
//
// # The state cookie
//
// The login page knows no state parameter, so nothing that was sent to it comes back, and an attacker could send a victim to the
// callback with the attacker's code: the victim would work in the attacker's account without noticing. Against that LoginHandler sets
// a cookie before it redirects, signed, with a random nonce and ten minutes to live, and CallbackHandler goes on only if a browser
// brings it, once. What is left is a victim who has a login of their own half done in those minutes: without a state that comes
// back, nobody can tell which of two codes that login was for.
//
// A user who comes to the callback without having been at LoginHandler, for instance from a bookmark, is refused with [ErrState]. Send
// them to LoginHandler: whoever is logged in at the login page comes back at once. There is no PKCE and no id_token.
//
// # What it holds
//
// domainName must be https, or http to the own machine. Redirects are not followed, answers are limited in size, and what the auth
// centre says becomes an *[Error]. Secrets, codes and tokens are not in errors or logs. Where a browser is sent after the login is a path on
// the ISV's own site, and after the logout a host that the configuration names.
package kitlogin
