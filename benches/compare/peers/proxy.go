// The full job in Go with the standard library alone: checks the HS256 token, limits each user,
// caps and signs the body, and removes the pictures from the response.
package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	maxBody   = 28 << 20
	perMinute = 60000
	// If true, only these members go upstream; otherwise every body is forwarded.
	read = @READ@
)

var members = map[string][]string{
	"/v2/actionliveness/sessioncode": {"min_code_length", "max_code_length"},
	"/v2/actionliveness/verify":      {"session_id", "video_base64", "face_field"},
}

var (
	listen, upstream, certs = os.Args[1], os.Args[2], os.Args[3]
	accessKey               = os.Getenv("QINIU_ACCESS_KEY")
	secretKey               = []byte(os.Getenv("QINIU_SECRET_KEY"))
	loginSecret             = []byte(os.Getenv("LOGIN_SECRET"))
)

type window struct {
	since time.Time
	used  int
}

type limiter struct {
	sync.Mutex
	windows map[string]*window
}

func (l *limiter) allows(user string, now time.Time) bool {
	l.Lock()
	defer l.Unlock()
	w := l.windows[user]
	if w == nil || now.Sub(w.since) > time.Minute {
		w = &window{since: now}
		l.windows[user] = w
	}
	w.used++
	return w.used <= perMinute
}

type claims struct {
	Issuer   string `json:"iss"`
	Audience string `json:"aud"`
	Subject  string `json:"sub"`
	Expires  int64  `json:"exp"`
}

func caller(authorization string, now time.Time) (string, error) {
	bad := errors.New("bad token")
	token := strings.TrimPrefix(authorization, "Bearer ")
	parts := strings.Split(token, ".")
	if token == authorization || len(parts) != 3 {
		return "", bad
	}
	var head struct {
		Algorithm string `json:"alg"`
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[0])
	if err != nil || json.Unmarshal(text, &head) != nil || head.Algorithm != "HS256" {
		return "", bad
	}
	mac := hmac.New(sha256.New, loginSecret)
	mac.Write([]byte(parts[0] + "." + parts[1]))
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || !hmac.Equal(signature, mac.Sum(nil)) {
		return "", bad
	}
	var said claims
	text, err = base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(text, &said) != nil {
		return "", bad
	}
	if said.Issuer != "@ISSUER@" || said.Audience != "@AUDIENCE@" || said.Expires <= now.Unix() {
		return "", bad
	}
	return said.Subject, nil
}

func withoutPictures(text []byte) ([]byte, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var answer map[string]any
	if err := decoder.Decode(&answer); err != nil {
		return nil, err
	}
	if result, ok := answer["result"].(map[string]any); ok {
		if best, ok := result["best_image"].(map[string]any); ok {
			delete(best, "pic")
		}
		list, _ := result["pic_list"].([]any)
		for _, image := range list {
			if image, ok := image.(map[string]any); ok {
				delete(image, "pic")
			}
		}
	}
	return json.Marshal(answer)
}

func allowed(path string, body []byte) ([]byte, error) {
	var sent map[string]json.RawMessage
	if err := json.Unmarshal(body, &sent); err != nil {
		return nil, err
	}
	kept := map[string]json.RawMessage{}
	for _, name := range members[path] {
		if value, ok := sent[name]; ok {
			kept[name] = value
		}
	}
	return json.Marshal(kept)
}

// Reads a body of a declared length into a buffer of that length.
func readAll(from io.Reader, length int64) ([]byte, error) {
	if length < 0 {
		return io.ReadAll(from)
	}
	body := make([]byte, length)
	_, err := io.ReadFull(from, body)
	return body, err
}

func main() {
	limits := limiter{windows: map[string]*window{}}
	transport := &http.Transport{
		MaxIdleConns:        4096,
		MaxIdleConnsPerHost: 4096,
		DisableCompression:  true,
	}
	handler := func(w http.ResponseWriter, r *http.Request) {
		now := time.Now()
		user, err := caller(r.Header.Get("Authorization"), now)
		if err != nil {
			http.Error(w, "bad token", http.StatusUnauthorized)
			return
		}
		if !limits.allows(user, now) {
			http.Error(w, "slow down", http.StatusTooManyRequests)
			return
		}
		if r.ContentLength > maxBody {
			http.Error(w, "too large", http.StatusRequestEntityTooLarge)
			return
		}
		body, err := readAll(http.MaxBytesReader(w, r.Body, maxBody), r.ContentLength)
		if err == nil && read {
			body, err = allowed(r.URL.Path, body)
		}
		if err != nil {
			http.Error(w, "bad body", http.StatusBadRequest)
			return
		}
		mac := hmac.New(sha1.New, secretKey)
		io.WriteString(mac, "POST "+r.URL.Path+"\nHost: "+upstream+"\nContent-Type: application/json\n\n")
		mac.Write(body)
		url := "http://" + upstream + r.URL.Path
		call, err := http.NewRequestWithContext(r.Context(), "POST", url, bytes.NewReader(body))
		if err != nil {
			http.Error(w, "bad request", http.StatusBadRequest)
			return
		}
		call.Header.Set("Content-Type", "application/json")
		signature := base64.URLEncoding.EncodeToString(mac.Sum(nil))
		call.Header.Set("Authorization", "Qiniu "+accessKey+":"+signature)
		response, err := transport.RoundTrip(call)
		if err != nil {
			http.Error(w, "upstream", http.StatusBadGateway)
			return
		}
		defer response.Body.Close()
		answer, err := readAll(response.Body, response.ContentLength)
		if err == nil && response.StatusCode == http.StatusOK {
			answer, err = withoutPictures(answer)
		}
		if err != nil || response.StatusCode != http.StatusOK {
			http.Error(w, "upstream", http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
		w.Write(answer)
	}
	server := &http.Server{
		Addr:      listen,
		Handler:   http.HandlerFunc(handler),
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS13},
	}
	server.ErrorLog = log.New(io.Discard, "", 0)
	if certs == "" {
		log.Fatal(server.ListenAndServe())
	}
	log.Fatal(server.ListenAndServeTLS(certs+"/cert.pem", certs+"/key.pem"))
}
