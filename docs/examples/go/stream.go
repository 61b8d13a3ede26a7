// Passes an app's requests on to a gateway that only this backend can reach, a sidecar. A video
// goes through in pieces: the next one is read when the gateway has taken the last. It needs only
// Go's standard library. It never holds or logs a body, and never passes a cookie on.

package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"
)

const drain = 2 * time.Second

var (
	up = []string{
		"Content-Type", "Liveness-Session", "Liveness-Face-Field", "Liveness-Nonce", "Authorization",
	}
	down = []string{
		"Content-Type", "Content-Length", "Cache-Control", "Retry-After", "WWW-Authenticate",
		"X-Request-Id", "RateLimit", "RateLimit-Policy", "Liveness-Replayed",
	}
)

// NewForwarder returns the handler of the gateway's two routes.
func NewForwarder(gateway string, minter *Minter, logins map[string]string) (http.Handler, error) {
	to, err := url.Parse(gateway)
	if err != nil {
		return nil, err
	}
	proxy := &httputil.ReverseProxy{
		// An app that leaves in the middle ends the upload; nothing is billed. Once the video is
		// complete, the gateway finishes the call, and keeps the answer for the app's next try.
		Director: func(request *http.Request) {
			request.URL.Scheme, request.URL.Host, request.Host = to.Scheme, to.Host, to.Host
			request.Header = only(request.Header, up)
			request.Header["X-Forwarded-For"] = nil // The gateway trusts no proxy here.
			request.Header["User-Agent"] = nil
			// The gateway asks for the body once token, limits and size are good.
			if request.ContentLength != 0 {
				request.Header.Set("Expect", "100-continue")
			}
		},
		Transport: &http.Transport{
			DialContext:           (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
			ExpectContinueTimeout: 10 * time.Second,
			// Longer than the gateway's `timeout` of the route and `evidence.timeout`.
			ResponseHeaderTimeout: 90 * time.Second,
			DisableCompression:    true,
			// A kept connection could close just as a video begins.
			DisableKeepAlives: true,
		},
		FlushInterval: -1, // The answer goes before `discard` reads on.
		ModifyResponse: func(answer *http.Response) error {
			answer.Header = only(answer.Header, down)
			return nil
		},
		ErrorHandler: func(answer http.ResponseWriter, _ *http.Request, err error) {
			fmt.Println("no answer of the gateway, or the app has gone:", err)
			respond(answer, http.StatusBadGateway, reply{Error: "unavailable"})
		},
	}
	forward := func(answer http.ResponseWriter, request *http.Request) {
		user, known := loggedIn(logins, request)
		if !known || request.Method != http.MethodPost {
			respond(answer, http.StatusUnauthorized, reply{Error: "not_logged_in"})
			return
		}
		// Where the app has a token of its own, its Authorization header stays as it is.
		token, err := minter.Mint(user, "")
		if err != nil {
			respond(answer, http.StatusBadGateway, reply{Error: "unavailable"})
			return
		}
		request.Header.Set("Authorization", "Bearer "+token)
		body := request.Body
		request.Body = io.NopCloser(body)
		proxy.ServeHTTP(answer, request)
		discard(body)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/v2/actionliveness/sessioncode", forward)
	mux.HandleFunc("/v2/actionliveness/verify", forward)
	return mux, nil
}

// discard reads on for a moment: answered before the end of the upload, an app that is still
// sending misses the answer if its connection closes at once.
func discard(body io.Reader) {
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(io.Discard, body)
	}()
	select {
	case <-read:
	case <-time.After(drain):
	}
}

func only(header http.Header, names []string) http.Header {
	kept := http.Header{}
	for _, name := range names {
		if values := header.Values(name); len(values) > 0 {
			kept[http.CanonicalHeaderKey(name)] = values
		}
	}
	return kept
}
