// A small backend that relies on liveness checks. POST /start gives the app of a logged-in user a
// token and a nonce for one transaction; POST /finish takes the verdict and carries the transaction
// out, once. The gateway fetches /jwks.json and posts evidence to /liveness. It never takes a
// user's name from a request, and never tells a frontend more than whether the check passed.

package main

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	// A token may be used until it expires, and the verdict is valid for five minutes after that.
	transactionLifetime = Lifetime + 5*time.Minute
	mostFails           = 5
	failWindow          = time.Hour
)

// Qiniu's judgements "not live". Other codes say that the video or the service was unfit.
var judged = map[int64]bool{0: true, 216434: true, 223120: true, 223131: true}

type transaction struct {
	user, nonce   string
	expires       time.Time
	ended, passed bool
}

// Backend keeps transactions and fails in memory. In your own app both are tables of a database: a
// transaction ends by a conditional update.
type Backend struct {
	http.ServeMux
	minter   *Minter
	checker  *Checker
	receiver *Receiver
	// Stands for your own login: users by the value of their cookie `login`.
	logins map[string]string

	mutex        sync.Mutex
	transactions map[string]*transaction
	fails        map[string][]time.Time
}

type reply struct {
	Transaction string `json:"transaction,omitempty"`
	Nonce       string `json:"nonce,omitempty"`
	Token       string `json:"token,omitempty"`
	Passed      *bool  `json:"passed,omitempty"`
	Next        string `json:"next,omitempty"`
	Error       string `json:"error,omitempty"`
}

// NewBackend returns the handler of all routes.
func NewBackend(minter *Minter, checker *Checker, receiver *Receiver, logins map[string]string) *Backend {
	b := &Backend{minter: minter, checker: checker, receiver: receiver, logins: logins}
	b.transactions, b.fails = map[string]*transaction{}, map[string][]time.Time{}
	receiver.First = b.count
	b.Handle("/liveness", receiver)
	b.HandleFunc("/jwks.json", func(answer http.ResponseWriter, _ *http.Request) {
		respond(answer, http.StatusOK, minter.KeySet())
	})
	b.HandleFunc("/start", b.loggedIn(b.start))
	b.HandleFunc("/finish", b.loggedIn(b.finish))
	return b
}

// start begins a transaction of this user.
func (b *Backend) start(user string, _ *http.Request) (int, reply) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if b.locked(user) {
		return http.StatusTooManyRequests, reply{Next: "human"}
	}
	for id, it := range b.transactions {
		if time.Now().After(it.expires) {
			delete(b.transactions, id)
		}
	}
	id, nonce := random(), random()
	token, err := b.minter.Mint(user, id)
	if err != nil {
		fmt.Println("failed:", err)
		return http.StatusServiceUnavailable, reply{Error: "unavailable"}
	}
	b.transactions[id] = &transaction{user: user, nonce: nonce, expires: time.Now().Add(transactionLifetime)}
	return http.StatusOK, reply{Transaction: id, Nonce: nonce, Token: token}
}

// finish ends a transaction of this user by a verdict. The same verdict again gets the same answer.
func (b *Backend) finish(user string, request *http.Request) (int, reply) {
	var body struct{ Transaction, Verdict string }
	if err := json.NewDecoder(http.MaxBytesReader(nil, request.Body, 16384)).Decode(&body); err != nil {
		return http.StatusBadRequest, reply{Error: "refused"}
	}
	b.mutex.Lock()
	it := b.transactions[body.Transaction]
	b.mutex.Unlock()
	if it == nil || it.user != user || time.Now().After(it.expires) {
		return http.StatusNotFound, reply{Error: "unknown_transaction"}
	}
	claims, err := b.checker.Check(body.Verdict, b.minter.Issuer, user, it.nonce)
	// With `copy_claims = ["txn"]`: the token was minted for this transaction, too.
	if err == nil && claims.Token.Transaction != body.Transaction {
		err = Refused("a token of another transaction")
	}
	if err != nil {
		// The reason is for the log. It holds neither the verdict nor the token.
		fmt.Println("refused:", err)
		if errors.As(err, new(Refused)) {
			return http.StatusBadRequest, reply{Error: "refused"}
		}
		return http.StatusServiceUnavailable, reply{Error: "unavailable"}
	}
	// Of two requests at once, only one finds the transaction open.
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if !it.ended {
		picture, there := b.receiver.Collect(claims.ID)
		it.ended, it.passed = true, claims.Liveness.Passed && there && !b.locked(user)
		if it.passed {
			carryOut(body.Transaction, picture)
		}
	}
	passed := it.passed
	return http.StatusOK, reply{Passed: &passed}
}

// count counts a fail that the gateway reports itself: a frontend could keep it back.
func (b *Backend) count(delivery *Delivery) {
	code := delivery.Answer.Code
	if delivery.Issuer != b.minter.Issuer || delivery.Passed || code == nil || !judged[*code] {
		return
	}
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.fails[delivery.User] = append(b.fails[delivery.User], time.Now())
}

// locked reports whether a user failed too often. Its caller holds the mutex.
func (b *Backend) locked(user string) bool {
	var recent []time.Time
	for _, at := range b.fails[user] {
		if time.Since(at) < failWindow {
			recent = append(recent, at)
		}
	}
	b.fails[user] = recent
	return len(recent) >= mostFails
}

// carryOut is where your app pays, opens the account, or compares the picture with a document.
func carryOut(id string, picture Picture) {
	fmt.Printf("carried out %s picture=%t\n", id, picture.Base64 != "")
}

func (b *Backend) loggedIn(handle func(string, *http.Request) (int, reply)) http.HandlerFunc {
	return func(answer http.ResponseWriter, request *http.Request) {
		user, known := loggedIn(b.logins, request)
		switch {
		case request.Method != http.MethodPost:
			respond(answer, http.StatusNotFound, reply{Error: "unknown_route"})
		case !known:
			respond(answer, http.StatusUnauthorized, reply{Error: "not_logged_in"})
		default:
			status, body := handle(user, request)
			respond(answer, status, body)
		}
	}
}

func loggedIn(logins map[string]string, request *http.Request) (string, bool) {
	cookie, err := request.Cookie("login")
	if err != nil {
		return "", false
	}
	user, known := logins[cookie.Value]
	return user, known
}

func respond(answer http.ResponseWriter, status int, body interface{}) {
	answer.Header().Set("Content-Type", "application/json")
	answer.Header().Set("Cache-Control", "no-store")
	if status == http.StatusTooManyRequests {
		answer.Header().Set("Retry-After", strconv.Itoa(int(failWindow.Seconds())))
	}
	answer.WriteHeader(status)
	_ = json.NewEncoder(answer).Encode(body)
}

// random returns 128 bits that nobody can guess, as text.
func random() string {
	bytes := make([]byte, 16)
	if _, err := rand.Read(bytes); err != nil {
		panic(err) // A system without a random generator must not go on.
	}
	return hex.EncodeToString(bytes)
}
