// Receives evidence: verifies the sender, and keeps the best picture for the verdict that follows.
// It needs only Go's standard library, and never keeps a picture for longer than maxHeld.

package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	maxBody = 24 << 20
	maxAge  = 5 * time.Minute
	maxHeld = 15 * time.Minute // longer than a verdict is valid
)

// Picture is the stored part of a delivery. It shows a face: delete it when it is no longer needed.
type Picture struct {
	UserIssuer, User, Base64 string
	since                    time.Time
}

// Delivery is what the gateway posts.
type Delivery struct {
	ID     string `json:"id"`
	User   string `json:"user"`
	Issuer string `json:"issuer"`
	Passed bool   `json:"passed"`
	Answer struct {
		Code   *int64 `json:"error_code"`
		Result *struct {
			Best struct {
				Picture string `json:"pic"`
			} `json:"best_image"`
		} `json:"result"`
	} `json:"answer"`
}

// Receiver accepts deliveries.
type Receiver struct {
	// First is called with a delivery that did not come before.
	First func(*Delivery)

	key   []byte
	mutex sync.Mutex
	// By the verdict's `jti`.
	evidence map[string]Picture
}

// NewReceiver takes the secret that it shares with the gateway.
func NewReceiver(secret string) (*Receiver, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil || len(key) == 0 {
		return nil, errors.New("the secret of evidence must be whsec_ and base64")
	}
	return &Receiver{key: key, evidence: map[string]Picture{}, First: func(*Delivery) {}}, nil
}

// ServeHTTP takes a delivery.
func (r *Receiver) ServeHTTP(answer http.ResponseWriter, request *http.Request) {
	answer.WriteHeader(r.take(request))
}

// Collect returns the picture that belongs to a verdict, and forgets it.
func (r *Receiver) Collect(id string) (Picture, bool) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	picture, there := r.evidence[id]
	delete(r.evidence, id)
	return picture, there
}

// genuine reports whether the gateway sent these bytes recently. `body` must be as received.
func (r *Receiver) genuine(header http.Header, body []byte) bool {
	id, sent := header.Get("webhook-id"), header.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(sent, 10, 64)
	if id == "" || err != nil {
		return false
	}
	if age := time.Since(time.Unix(seconds, 0)); age > maxAge || age < -maxAge {
		return false
	}
	mac := hmac.New(sha256.New, r.key)
	fmt.Fprintf(mac, "%s.%s.", id, sent)
	mac.Write(body)
	wanted := []byte("v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	for _, given := range strings.Split(header.Get("webhook-signature"), " ") {
		if hmac.Equal(wanted, []byte(given)) {
			return true
		}
	}
	return false
}

func (r *Receiver) take(request *http.Request) int {
	if request.Method != http.MethodPost {
		return http.StatusMethodNotAllowed
	}
	body, err := io.ReadAll(io.LimitReader(request.Body, maxBody+1))
	if err != nil || len(body) > maxBody {
		return http.StatusRequestEntityTooLarge
	}
	if !r.genuine(request.Header, body) {
		return http.StatusUnauthorized
	}
	var delivery Delivery
	// The signed id must be the id in the body.
	if err := json.Unmarshal(body, &delivery); err != nil || delivery.ID != request.Header.Get("webhook-id") {
		return http.StatusBadRequest
	}
	picture := Picture{UserIssuer: delivery.Issuer, User: delivery.User, since: time.Now()}
	// Of a check that failed, nobody needs a face.
	if result := delivery.Answer.Result; result != nil && delivery.Passed {
		picture.Base64 = result.Best.Picture
	}
	if !r.keep(delivery.ID, picture) {
		return http.StatusNoContent
	}
	fmt.Printf("took %s passed=%t picture=%t\n", delivery.ID, delivery.Passed, picture.Base64 != "")
	r.First(&delivery)
	return http.StatusNoContent
}

// keep reports whether a delivery is new. A repeated one changes nothing.
func (r *Receiver) keep(id string, picture Picture) bool {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for old, it := range r.evidence {
		if time.Since(it.since) > maxHeld {
			delete(r.evidence, old)
		}
	}
	if _, there := r.evidence[id]; there {
		return false
	}
	r.evidence[id] = picture
	return true
}
